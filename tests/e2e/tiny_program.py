"""A Pulumi program with one resource written in Python, a file: up, preview, destroy. Prints what happened as JSON.

Run by test_pulumi_engine.py in a process of its own, as the SDK keeps state in the process. Argument: a new folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pulumi
from pulumi import automation, dynamic

from stormdesk.infra import pulumi_cli


def program(note: Path) -> None:
    """The classes are local, so that they travel to the provider's process by value."""

    class Files(dynamic.ResourceProvider):
        def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
            Path(props["path"]).write_text("here")
            return dynamic.CreateResult(props["path"], {**props, "python": sys.executable})

        def delete(self, _id: str, _props: dict[str, Any]) -> None:
            Path(_id).unlink()

    class File(dynamic.Resource):
        python: pulumi.Output[str]

        def __init__(self, name: str, path: str) -> None:
            super().__init__(Files(), name, {"path": path, "python": None})

    pulumi.export("python", File("note", str(note)).python)


def main(folder: Path) -> None:
    """Through all of its life, on a state of its own in `folder`."""
    engine, note = pulumi_cli.require(), folder / "note"
    (folder / "state").mkdir(parents=True)
    (folder / "passphrase").write_text("no secret")
    environ = {
        **engine.environ(),
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        "PULUMI_HOME": str(folder / "home"),
    }
    options = automation.LocalWorkspaceOptions(pulumi_command=engine.command(), env_vars=environ, work_dir=str(folder))
    stack = automation.create_or_select_stack("one", "tiny", lambda: program(note), opts=options)
    up = stack.up()
    was_there = note.exists()
    kept = stack.preview().change_summary
    stack.destroy()
    happened = {"engine": str(engine.path), "python": up.outputs["python"].value, "was_there": was_there}
    print(json.dumps({**happened, "kept": kept, "is_there": note.exists(), "log": up.stdout}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
