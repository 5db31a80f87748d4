"""The workflows for users: their commands exist and parse, and the environment is always removed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stormdesk.cli import runbooks
from tests.support.invoking import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
# Reads a command line as invoke would, and writes down that it could be read; --plan for tasks that have it.
READER = """#!{python}
import os, sys
sys.path.insert(0, {root!r})
from invoke.parser.parser import Parser
from stormdesk.tasks import ns
words = sys.argv[1:]
found = Parser(contexts=ns.to_contexts()).parse_argv(words)[-1]
for argument in found.args.values():
    if argument.name in ("env", "name", "runbook") and argument.got_value:
        assert argument.value and "$" not in argument.value, (words, argument.name)
with open(os.environ["CALLED"], "a") as called:
    print(*words, file=called)
"""


def jobs() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for file in FILES:
        workflow = yaml.safe_load(file.read_text())
        for job in workflow["jobs"].values():
            yield file.stem, workflow, job


def steps(name: str) -> list[dict[str, Any]]:
    return [step for file, _, job in jobs() if file == name for step in job["steps"]]


NAMES = [name for name, _, _ in jobs()]


def test_there_is_one_for_pull_requests_and_a_nightly_one() -> None:
    triggers = {name: workflow[True] for name, workflow, _ in jobs()}  # YAML takes the key `on` for a yes
    assert "pull_request" in triggers["staging"]
    assert triggers["nightly"]["schedule"] == [{"cron": "0 2 * * *"}]
    assert "workflow_dispatch" in triggers["nightly"]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_that_calls_invoke_can_be_read_by_it(name: str, tmp_path: Path) -> None:
    reader, called = tmp_path / "bin/invoke", tmp_path / "called"
    reader.parent.mkdir()
    reader.write_text(READER.format(python=sys.executable, root=str(ROOT)))
    reader.chmod(0o755)
    known = " ".join([path.stem for path in runbooks.known()][:7])  # each of them starts a Python
    env = {**os.environ, "PATH": f"{reader.parent}:{os.environ['PATH']}", "CALLED": str(called)}
    env |= {"STORMDESK_ENV": "pr-7", "RUNBOOKS": known, "SEED": "7"}
    for step in steps(name):
        if "invoke " in step.get("run", ""):
            subprocess.run(["bash", "-e", "-c", step["run"]], env=env, cwd=tmp_path, check=True, timeout=60)
    lines = called.read_text().splitlines()
    tasks = {line.split()[0] for line in lines}
    assert {"doctor", "env.up", "gameday.run", "env.down", "env.reap"} <= tasks
    assert sum(line.startswith("gameday.run") for line in lines) == len(known.split())
    assert sum(step["run"].count("invoke ") for step in steps(name) if "run" in step) <= len(lines)


def test_a_game_day_that_does_not_hold_fails_the_night_but_not_the_others(tmp_path: Path) -> None:
    (run,) = (step["run"] for step in steps("nightly") if step.get("name") == "Game days")
    (tmp_path / "invoke").write_text('#!/bin/sh\necho "$3"\n[ "$3" != bad ]\n')
    (tmp_path / "invoke").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNBOOKS": "bad good", "SEED": "1"}
    done = subprocess.run(["bash", "-e", "-c", run], env=env, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (1, "bad\ngood\ndid not hold: bad\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_is_never_too_long_and_never_fails(name: str, tmp_path: Path) -> None:
    (run,) = (step["run"] for step in steps(name) if step.get("name") == "Summary")
    summary = tmp_path / "summary"
    env = {**os.environ, "GITHUB_STEP_SUMMARY": str(summary)}
    subprocess.run(["bash", "-e", "-c", run], env=env, cwd=tmp_path, check=True, timeout=20)
    assert summary.read_text() == ""
    for run_id in ("r-1", "r-2"):
        (tmp_path / "runs" / run_id).mkdir(parents=True)
        (tmp_path / "runs" / run_id / "summary.md").write_text(f"# {run_id}\n" + "x" * 600 * 1024)
    subprocess.run(["bash", "-e", "-c", run], env=env, cwd=tmp_path, check=True, timeout=20)
    assert "# r-1" in summary.read_text()
    assert "# r-2" in summary.read_text()
    assert summary.stat().st_size == 900 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_is_always_removed_and_artefacts_are_kept(name: str) -> None:
    all_steps = steps(name)
    last = all_steps[-1]
    assert (last["if"], last["name"]) == ("always()", "Down")
    up = next(step["run"] for step in all_steps if "env.up" in step.get("run", ""))
    assert "--ttl" in up  # a runner that dies leaves nothing that lives on
    (kept,) = (step for step in all_steps if "upload-artifact" in step.get("uses", ""))
    assert kept["if"] == "always()"
    assert kept["with"]["path"] == "runs/"


def test_nothing_from_outside_becomes_part_of_a_script_and_little_is_permitted() -> None:
    for _, workflow, job in jobs():
        assert workflow["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step.get("uses", f"actions/x@{'0' * 40}"))
    uses = [line for file in FILES for line in file.read_text().splitlines() if "uses:" in line]
    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in uses), "a person reads the version"


def test_its_packages_are_those_that_the_lab_asks_for() -> None:
    from stormdesk.infra.backends.lab import control

    for name in NAMES:
        (install,) = (step["run"] for step in steps(name) if step.get("name") == "Install")
        assert {*control.TOOLS.values(), "openssh-client", "util-linux"} <= set(install.split())
