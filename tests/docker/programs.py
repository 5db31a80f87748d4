"""Programs run by the real Pulumi engine and its Docker plugin."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pulumi import automation

from stormdesk.infra import pulumi_cli
from stormdesk.infra.backends.docker.engine import Engine
from tests.skips import cannot

PLUGIN = "pulumi-resource-docker"


def stack(
    name: str, program: Callable[[], None], engine: pulumi_cli.Engine, docker: Engine, folder: Path
) -> automation.Stack:
    """A stack whose state is in `folder` and whose plugin works on `docker`. Skips where there is no plugin."""
    if shutil.which(PLUGIN) is None:
        cannot(f"no {PLUGIN} on PATH, and no registry has it")
    (folder / "state").mkdir()
    environ = {
        **engine.environ(),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "DOCKER_HOST": docker.environ["DOCKER_HOST"],
    }
    options = automation.LocalWorkspaceOptions(pulumi_command=engine.command(), env_vars=environ)
    return automation.create_stack(name, project_name="stormdesk", program=program, opts=options)


def changes(done: automation.UpResult | automation.RefreshResult) -> dict[str, int]:
    """What a run of the engine changed, by kind."""
    found = done.summary.resource_changes or {}
    return {str(getattr(kind, "value", kind)): n for kind, n in found.items() if kind != "same"}
