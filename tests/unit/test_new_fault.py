"""A new fault needs one file, one line and one folder of cases. Done in a copy of the checkout; everything else finds it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASKED = """
from random import Random
from tests.crash.aims import attacks
from tests.e2e import storm
from tests.support.invoking import inventory
hosts = inventory(22, "/nowhere")
print({attack.fault for some in attacks(hosts).values() for attack in some if attack.fault == "zebra"})
print({name for name, _, _ in storm.deck(Random(1), hosts, 40, 0) if name == "zebra"})
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is under version control, or will be."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, text=True, capture_output=True, check=True).stdout.splitlines():
        if (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name, follow_symlinks=False)
    return tmp_path


def python(checkout: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=checkout, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_one_file_one_line_and_one_folder_of_cases_are_enough(checkout: Path) -> None:
    template = (checkout / "faults/noop.py").read_text()
    zebra = template.replace("class Noop", "class Zebra").replace('"noop"', '"zebra"').replace("-noop-", "-zebra-")
    (checkout / "faults/process/zebra.py").write_text(zebra)
    catalogue = checkout / "faults/__init__.py"
    line = "from stormdesk.faults.process.zebra import Zebra\n"
    head, marker, tail = catalogue.read_text().partition("\nFAULTS")
    catalogue.write_text(
        head + line + marker + tail.replace('    "process-kill"', '    "zebra": Zebra,\n    "process-kill"')
    )
    shutil.copytree(checkout / "tests/cases/noop", checkout / "tests/cases/zebra")

    assert python(checkout, "-m", "tests.cases.bless", "zebra").splitlines() == ["zebra/ok.json"]
    tests = [f"tests/unit/test_{name}.py" for name in ("faults", "layers", "purity", "library")]
    told = python(checkout, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *tests)
    assert "test_case[zebra/ok]" in told
    assert "test_a_fault_file_stays_small[zebra]" in told
    assert "chaos.zebra" in python(checkout, "-m", "invoke", "--list")
    assert "zebra" in python(checkout, "-m", "invoke", "chaos.catalog")
    assert python(checkout, "-c", ASKED).splitlines() == ["{'zebra'}", "{'zebra'}"]
