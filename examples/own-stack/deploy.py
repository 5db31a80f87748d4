"""`python deploy.py up STACK` and `python deploy.py destroy STACK`: the same program by the Automation API, which needs no plugin."""

from __future__ import annotations

import sys
from pathlib import Path

from desk import program
from pulumi import automation

from stormdesk.infra import pulumi_cli


def main(verb: str, name: str) -> None:
    engine = pulumi_cli.require()
    workspace = automation.LocalWorkspace(
        work_dir=str(Path(__file__).parent),
        program=program,
        pulumi_command=engine.command(),
        env_vars=dict(engine.environ()),
    )
    stack = automation.Stack.create_or_select(name, workspace)
    if verb == "up":
        stack.up(on_output=print)
    else:
        stack.destroy(on_output=print, remove=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
