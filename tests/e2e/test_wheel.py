"""The wheel as a team installs it: one import name, also beside folders with our names, and its tasks in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from stormdesk.faults import FAULTS

ROOT = Path(__file__).parents[2]
FAULT = """
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stall:
    name = "stall"
    title = "Stall the engine"
    undo = "it goes on"
    needs = ()
    may_cut_control = False
    grace: str = field(default="", metadata={"help": "how long"})

    def probes(self, site):
        return {}

    def plan(self, facts, site, ttl_s):
        raise NotImplementedError


FAULTS = {"stall": Stall}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        folder,
        ROOT,
    ]
    subprocess.run(argv, check=True, timeout=180)
    (built,) = folder.glob("*.whl")
    return built


class Project:
    """A project with `infra/` and `checks/` of its own, and the wheel in an environment of its own."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "project"
        self.python = folder / "venv/bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=60)
        self.site = next((folder / "venv/lib").glob("python*")) / "site-packages"
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            wheel,
        ]
        subprocess.run(install, check=True, timeout=120)
        # What it depends on is what the lock has installed here, but not this checkout.
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        for name, text in {
            "tasks.py": "from stormdesk.tasks import ns\n",
            "infra/__init__.py": "",
            "infra/environment.py": "WHOSE = 'the project'\n",
            "checks/__init__.py": "",
            "checks/test_steady.py": "def test_ours():\n    pass\n",
            "faults/__init__.py": "",
            "faults/stall.py": FAULT,
            "invoke.yaml": "stormdesk:\n  checks: [checks]\n  faults: [faults.stall]\n",
        }.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        drop = ("PYTHONPATH", "STORMDESK_", "PYTEST_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        return subprocess.run(
            [self.python, *words], cwd=self.folder, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def invoke(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "invoke", *words)


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("own"), wheel)


def test_the_wheel_has_one_import_name_and_real_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.split("/")[0] for name in names}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"stormdesk"}
        for path in (*ROOT.glob("stormdesk/host/*.sh"), *ROOT.glob("runbooks/**/*.md"), ROOT / "tasks.py"):
            inside = path.relative_to(ROOT).as_posix().removeprefix("stormdesk/")
            assert archive.read(f"stormdesk/{inside}") == path.read_bytes()
        for room in ("faults", "checks", "infra", "testnet"):
            assert f"stormdesk/{room}/__init__.py" in names
        entries = next(name for name in names if name.endswith("entry_points.txt"))
        assert "stormdesk.cli.pytest_plugin" in archive.read(entries).decode()


def test_our_rooms_are_the_wheels_and_theirs_are_theirs(project: Project) -> None:
    code = (
        "import tasks, infra.environment, stormdesk.infra.environment as ours, stormdesk.faults, stormdesk.checks.run\n"
        "import stormdesk.testnet; print(infra.environment.WHOSE, ours.__file__, stormdesk.__file__)"
    )
    said = project.run("-c", code)
    assert said.stderr == ""
    package = f"{project.site}/stormdesk"
    assert said.stdout.split() == ["the", "project", f"{package}/infra/environment.py", f"{package}/__init__.py"]


def test_its_tasks_are_ours_and_its_fault_is_one_of_them(project: Project) -> None:
    listed = project.invoke("--list")
    assert listed.returncode == 0, listed.stderr
    assert {"chaos.disk-full", "chaos.stall", "env.up", "gameday.run"} <= set(listed.stdout.split())
    catalogue = json.loads(project.invoke("chaos.catalog", "--json").stdout)
    assert [fault["fault"] for fault in catalogue["faults"]] == [*FAULTS, "stall"]
    assert "disk-full-trader" in project.invoke("gameday.list").stdout
    assert "how long" in project.invoke("chaos.stall", "--help").stdout
    wrong = project.invoke("chaos.stal")
    assert (wrong.returncode, wrong.stderr) == (2, "no task 'chaos.stal'. Did you mean: chaos.stall?\n")


def test_tasks_of_its_own_beside_ours(project: Project) -> None:
    tasks = project.folder / "tasks.py"
    before = tasks.read_text()
    try:
        tasks.write_text(
            before
            + "from invoke import task\n@task\ndef deploy(c, to):\n    print('deployed', to, c.run.__name__)\nns.add_task(deploy)\n"
        )
        assert project.invoke("deploy", "staging", "--echo").stdout.split()[:2] == ["deployed", "staging"]
        assert "deploy" in project.invoke("--list").stdout.split()
        assert project.invoke("chaos.diskfull").returncode == 2
    finally:
        tasks.write_text(before)


def test_a_fault_of_an_installed_package(project: Project) -> None:
    info = project.site / "other_faults-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-faults\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[stormdesk.faults]\nhiccup = other_faults:Hiccup\nstall = other_faults:Other\nbroken = other_faults_gone:X\n"
    )
    (project.site / "other_faults.py").write_text(
        FAULT + "class Hiccup(Stall):\n    name = 'hiccup'\nclass Other(Stall):\n    pass\n"
    )
    try:
        said = project.invoke("chaos.catalog", "--json")
    finally:
        for file in (*info.iterdir(), project.site / "other_faults.py"):
            file.unlink()
        info.rmdir()
    names = [fault["fault"] for fault in json.loads(said.stdout)["faults"]]
    assert said.returncode == 0
    assert names == [*FAULTS, "hiccup"]  # stall is there twice, so it is not there
    clash, gone = sorted(said.stderr.splitlines(), key=lambda line: "gone" in line)
    assert clash.startswith("two faults are called stall: faults.stall (in ")
    assert "other_faults:Other (of package other-faults)" in clash
    assert gone.startswith("other_faults_gone:X (of package other-faults): ModuleNotFoundError")


def test_pytest_knows_the_fixtures_at_no_cost(project: Project) -> None:
    (project.folder / "test_plain.py").write_text(
        "import sys\n\ndef test_plain():\n"
        "    heavy = {'paramiko', 'stormdesk.cli.api', 'pulumi', 'jinja2', 'yaml'} & set(sys.modules)\n"
        "    assert 'stormdesk.cli.pytest_plugin' in sys.modules\n    assert not heavy, heavy\n"
    )
    said = project.run("-m", "pytest", "-p", "no:cacheprovider", "test_plain.py")
    assert said.returncode == 0, said.stdout
    fixtures = project.run("-m", "pytest", "--fixtures").stdout
    for name in ("chaos_config", "chaos", "recovery_timer", "state_validator", "seed_random"):
        assert f"{name} " in fixtures
