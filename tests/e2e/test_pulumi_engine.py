"""The real Pulumi engine: its version, and a resource written in Python that is created, kept and removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stormdesk.infra import pulumi_cli

DEADLINE_S = 120
PROGRAM = Path(__file__).with_name("tiny_program.py")


def test_the_engine_prints_its_version(engine: pulumi_cli.Engine) -> None:
    said = subprocess.run([engine.path, "version"], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert pulumi_cli.version_of(said.stdout) == engine.version
    if engine.source == pulumi_cli.OURS:
        assert said.stdout == f"v{pulumi_cli.VERSION}\n"
        assert os.access(engine.path.with_name(pulumi_cli.LAUNCHER.name), os.X_OK)


@pytest.mark.parametrize("where", ["as it is", "on PATH without a launcher"])
def test_a_resource_written_in_python_goes_up_and_away(engine: pulumi_cli.Engine, where: str, tmp_path: Path) -> None:
    path = engine.path
    environ = dict(os.environ)
    if where != "as it is":
        path = tmp_path / "bare/pulumi"
        path.parent.mkdir()
        shutil.copy(engine.path, path)
        environ["PATH"] = f"{path.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-P", PROGRAM, tmp_path / "work"],
        env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    happened = json.loads(done.stdout)
    log = happened.pop("log")
    assert "pulumi-python:dynamic:Resource note created" in log
    assert happened == {
        "engine": str(path),
        "python": sys.executable,
        "was_there": True,
        "kept": {"same": 2},
        "is_there": False,
    }
