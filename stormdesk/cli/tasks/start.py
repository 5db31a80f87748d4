"""Where to start: check this machine, and see the demo."""

from __future__ import annotations

from stormdesk.cli.command import PLAN_HELP, command
from stormdesk.cli.options import JSON, WHERE, Options


@command(
    {**WHERE, **JSON},
    hint="[--host H]   START HERE",
    help={
        "host": "check SSH to this host too",
        "install": "pulumi: download or build the Pulumi engine, when there is none",
        "plan": PLAN_HELP,
    },
)
def doctor(options: Options, host: str = "", install: str = "", plan: bool = False) -> int:
    """Check this machine and say how to fix it."""
    from stormdesk.cli import doctor as examination

    if install:
        return examination.install(install, plan, options.show)
    return examination.examine(host, options)


@command(
    JSON,
    effect="create environment {name}, fill the disk of trader-a for 20s, check, and take it down",
    hint="[--name N]",
    help={"name": "name of the environment; it is taken down again"},
    waits=True,
)
def demo(options: Options, name: str = "demo") -> int:
    """See it once: lab, full disk, proof, report."""
    from stormdesk.cli import demo as story

    return story.run(name, options.show)
