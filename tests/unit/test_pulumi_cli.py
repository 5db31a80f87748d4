"""Finding the Pulumi engine, and doctor's report on it. Engines are small scripts here; tests/e2e has the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra import pulumi_cli
from stormdesk.infra.pulumi_cli import VERSION, Engine
from tests.support.invoking import environ, run_all
from tests.unit.engines import put, script

NEWER = "3.999.1"


@pytest.mark.parametrize(
    ("said", "version"),
    [("v3.220.0\n", "3.220.0"), ("3.221.7-alpha.1+x", "3.221.7"), ("", ""), ("command not found", ""), ("v3.2", "")],
)
def test_the_version_in_what_an_engine_says(said: str, version: str) -> None:
    assert pulumi_cli.version_of(said) == version


@pytest.mark.parametrize(
    ("version", "fits"),
    [(VERSION, True), ("3.220.1", True), ("3.1000.0", True), ("3.219.9", False), ("3.99.0", False), ("4.0.0", False)],
)
def test_an_engine_is_as_new_as_ours_and_of_its_major_version(version: str, fits: bool) -> None:
    assert pulumi_cli.fits(version) is fits


def test_the_order_is_path_home_cache(machine: Path) -> None:
    places = [
        ("bin/pulumi", "PATH"),
        ("home/.pulumi/bin/pulumi", "~/.pulumi"),
        (f"home/.pulumi/versions/{NEWER}/bin/pulumi", "~/.pulumi"),
        ("home/.pulumi/versions/3.300.0/bin/pulumi", "~/.pulumi"),
        (f"cache/pulumi-{VERSION}/bin/pulumi", pulumi_cli.OURS),
    ]
    for place, _ in places:
        put(machine / place, NEWER)
    for place, source in places:
        assert pulumi_cli.find() == Engine(machine / place, NEWER, source)
        (machine / place).unlink()
    assert pulumi_cli.find() is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo v3.100.0", f"is 3.100.0, needed is {VERSION} or a newer 3.x"),
        ("echo v4.0.0", "is 4.0.0, needed is"),
        ("echo no such licence >&2; exit 7", "fails: no such licence"),
        ("exit 7", "fails: exit code 7"),
        (f"echo v{VERSION}; echo expired >&2; exit 7", "fails: expired"),
        ("echo hello", "fails: hello"),
    ],
)
def test_an_engine_that_does_not_fit_is_passed_over_and_accounted_for(machine: Path, body: str, reason: str) -> None:
    script(machine / "bin/pulumi", body)
    ours = put(machine / f"cache/pulumi-{VERSION}/bin/pulumi", VERSION)
    assert pulumi_cli.require() == Engine(ours, VERSION, pulumi_cli.OURS)
    first, *_, last = pulumi_cli.account()
    assert first.startswith("PATH: ")
    assert reason in first
    assert last == f"{ours}: {VERSION}, used"


def test_an_engine_that_hangs_or_is_no_program_is_passed_over(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "DEADLINE_S", 0.2)
    script(machine / "bin/pulumi", "exec sleep 30")
    (machine / "home/.pulumi/bin").mkdir(parents=True)
    (machine / "home/.pulumi/bin/pulumi").write_text("text")
    assert pulumi_cli.find() is None
    assert sum("does not run" in line for line in pulumi_cli.account()) == 2


def test_without_an_engine_one_line_says_what_was_tried_and_what_to_type(machine: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        pulumi_cli.require()
    text = str(refused.value)
    assert refused.value.exit_code == 3
    assert "\n" not in text
    assert all(part in text for part in ("PATH: none", "/.pulumi/bin/pulumi: none", "cache/pulumi-", "--engine direct"))
    assert "Type: invoke doctor --install pulumi " in text
    assert not (machine / "cache").exists()  # to look is to change nothing


def test_the_report_ends_with_the_engine_that_is_used(machine: Path) -> None:
    put(machine / "bin/pulumi", NEWER)
    assert pulumi_cli.account() == [f"PATH: {NEWER}, used"]


def test_the_launcher_runs_the_python_that_the_environment_names(tmp_path: Path) -> None:
    python = script(tmp_path / "py thon", 'printf "<%s>" "$@"')
    done = subprocess.run(
        [pulumi_cli.LAUNCHER, "127.0.0.1:5", "a b"],
        env={"PULUMI_PYTHON_CMD": str(python), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    assert done.stdout == "<-u><-m><pulumi.dynamic><127.0.0.1:5><a b>"


def test_an_engine_without_a_launcher_beside_it_finds_ours(machine: Path) -> None:
    engine = Engine(put(machine / "bin/pulumi", NEWER), NEWER, "PATH")
    before = os.environ["PATH"]
    assert engine.environ() == {
        "PATH": f"{machine}/bin:{pulumi_cli.LAUNCHER.parent}:{before}",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "GOGC": os.environ.get("GOGC", "400"),
    }
    script(machine / "bin" / pulumi_cli.LAUNCHER.name, "true")
    assert engine.environ()["PATH"] == f"{machine}/bin:{before}"
    link = machine / "links/pulumi"
    link.parent.mkdir()
    link.symlink_to(engine.path)
    assert Engine(link, NEWER, "PATH").environ()["PATH"] == f"{machine}/links:{before}"


def test_doctor_says_what_it_would_install_and_refuses_all_else(machine: Path) -> None:
    lines = [["doctor", "--install", "pulumi", flag] for flag in ("--plan", "--dry")]
    lines += [["doctor", "--install", "docker"], ["doctor", "--install"]]
    planned, dry, other, nothing = run_all(lines, environ(machine) | {"STORMDESK_CACHE": str(machine / "cache")})
    would = f"would download it, or build it, into {machine}/cache/pulumi-{VERSION}. Nothing was changed."
    assert [(end.code, would in end.out) for end in (planned, dry)] == [(0, True), (0, True)]
    assert not (machine / "cache").exists()
    assert (other.code, other.err) == (2, "--install takes pulumi, not docker. Type: invoke doctor --install pulumi\n")
    assert (nothing.code, nothing.err) == (2, "--install needs a value   (invoke doctor --help)\n")


def test_doctor_installs_nothing_when_an_engine_is_there(machine: Path) -> None:
    path = put(machine / "bin/pulumi", NEWER)
    env = environ(machine) | {"STORMDESK_CACHE": str(machine / "cache")}
    (end,) = run_all([["doctor", "--install", "pulumi", "--json"]], env)
    found = {"path": str(path), "version": NEWER, "source": "PATH"}
    assert (end.code, json.loads(end.out)) == (0, {"exit_code": 0, "engine": found})
    assert not (machine / "cache").exists()


def test_doctor_shows_the_engine_or_what_was_tried(machine: Path) -> None:
    env = environ(machine) | {"STORMDESK_CACHE": str(machine / "cache")}
    (without,) = run_all([["doctor", "--json"]], env)
    path = put(machine / "bin/pulumi", NEWER)
    (with_one,) = run_all([["doctor", "--json"]], env)
    rows = [
        next(row for row in json.loads(end.out)["findings"] if row["what"] == "pulumi") for end in (without, with_one)
    ]
    assert [row["here"] for row in rows] == [None, True]
    assert "PATH: none; " in rows[0]["text"]
    assert rows[0]["fix"] == pulumi_cli.INSTALL
    assert rows[1]["text"] == f"{NEWER}: {path} (PATH)"
