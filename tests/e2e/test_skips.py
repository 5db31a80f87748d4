"""On CI a missing requirement fails the test; elsewhere it is skipped and counted. In a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import CANNOT, on_ci

ROOT = Path(__file__).parents[2]
EVERY_KIND = """
import pytest
from stormdesk.core.errors import RefusedError
from tests.skips import cannot, got

def missing():
    raise RefusedError("the engine is missing. Type: that")

@pytest.fixture
def engine():
    return got(missing)

def test_of_a_fixture(engine): pass
def test_by_itself(): pytest.skip("no strace")
@pytest.mark.skipif(True, reason="needs root")
def test_by_a_mark(): pass
@pytest.mark.skip(reason="not now")
def test_always(): pass
def test_without_a_module(): pytest.importorskip("no_such_module")
def test_of_a_feature_of_the_kernel(): cannot("no swarm")
@pytest.mark.xfail(strict=True)
def test_that_is_expected_to_fail(): assert False
def test_that_runs(): pass
"""
# A network in which nothing can be had, by a proxy that says so at once: without any network apt tries four times in seven seconds.
NOTHING = """
ip link set lo up
"$0" -m http.server --bind 127.0.0.1 --directory "$1" 8080 >/dev/null 2>&1 & server=$!
shift
"$@"; code=$?
kill $server
exit $code
"""
WHOLE_FILE = "import pytest\npytest.skip('no Java', allow_module_level=True)\n"


def run(empty: Path, *words: str, **variables: str) -> tuple[dict[str, int], str]:
    """How many tests had which end, and all that was said. As root: in a network that has nothing (`empty` is an empty folder)."""
    alone = ["unshare", "--net", "sh", "-c", NOTHING, sys.executable, empty] if os.geteuid() == 0 else []
    command = [*alone, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words]
    environ = {key: value for key, value in os.environ.items() if key not in ("CI", "STORMDESK_CACHE")}
    proxy = {f"{scheme}_proxy": "http://127.0.0.1:8080" for scheme in ("http", "https")}
    done = subprocess.run(
        command, cwd=ROOT, env=environ | proxy | variables, capture_output=True, text=True, check=False, timeout=120
    )
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", last.partition(" in ")[0])}, done.stdout


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder of tests that the hooks of this project's conftest judge."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_every_kind.py").write_text(EVERY_KIND)
    (tmp_path / "test_whole_file.py").write_text(WHOLE_FILE)
    return tmp_path


def test_on_ci_whatever_is_missing_fails(written: Path) -> None:
    ends, said = run(
        written / "empty", f"--rootdir={written}", "--continue-on-collection-errors", str(written), CI="true"
    )
    assert ends == {"failed": 2, "errors": 4, "passed": 1, "skipped": 1, "xfailed": 1}, said
    for why in ("the engine is missing. Type: that", "no strace", "needs root", "not now", "no Java"):
        assert f"skipped, and on CI nothing may be missing: {why}\n" in said
    assert f"skipped 1: {CANNOT}no swarm\n" in said


def test_elsewhere_it_skips_and_is_counted(written: Path) -> None:
    ends, said = run(written / "empty", f"--rootdir={written}", str(written))
    assert ends == {"passed": 1, "skipped": 7, "xfailed": 1}, said
    for why in ("the engine is missing. Type: that", "no strace", "needs root", f"{CANNOT}no swarm", "no Java"):
        assert f"skipped 1: {why}\n" in said


@pytest.mark.parametrize(
    ("value", "is_set"), [("1", True), ("true", True), ("yes", True), ("", False), ("0", False), ("False", False)]
)
def test_what_counts_as_ci(monkeypatch: pytest.MonkeyPatch, value: str, is_set: bool) -> None:
    monkeypatch.setenv("CI", value)
    assert on_ci() is is_set


# A test for each of: the package layer, Kafka's, a Docker engine with its image, a Pulumi engine, busybox.
NEED = (
    "tests/e2e/test_lab_machine.py::test_a_root_without_namespaces_is_told_so",
    "tests/e2e/test_bus_kafka.py::test_each_keys_order_is_kept_and_lag_returns_to_zero",
    "tests/docker/test_containers.py::test_ssh_needs_the_key_that_the_inventory_names",
    "tests/e2e/test_pulumi_engine.py::test_the_engine_prints_its_version",
    "tests/shell/test_bite.py::test_disk_full_in_a_folder_whose_name_needs_quotes[busybox]",
)


def bare_path(folder: Path) -> str:
    """A PATH with what this machine has, but for the programs that tests may get elsewhere."""
    (folder / "bin").mkdir()
    for place in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        for program in Path(place).iterdir():
            if (
                program.name not in ("busybox", "pulumi", "docker", "dockerd")
                and not (folder / "bin" / program.name).exists()
            ):
                (folder / "bin" / program.name).symlink_to(program)
    return str(folder / "bin")


@pytest.mark.lab
@pytest.mark.parametrize("ci", ["", "true"], ids=["elsewhere", "on CI"])
def test_without_layers_engines_and_images_the_real_tests_skip_or_on_ci_fail(tmp_path: Path, ci: str) -> None:
    (tmp_path / "empty").mkdir()
    bare = {"STORMDESK_CACHE": str(tmp_path), "HOME": str(tmp_path), "PATH": bare_path(tmp_path), "CI": ci}
    ends, said = run(tmp_path / "empty", *NEED, **bare)
    assert ends == {"errors" if ci else "skipped": len(NEED)}, said
