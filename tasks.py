"""The command line: `invoke --list`. The tasks are in stormdesk/cli/tasks/, a file for each group.

It lies at the top for `invoke`, and is stormdesk.tasks for projects: `from stormdesk.tasks import ns`.
"""

from pathlib import Path

from stormdesk.cli.tasks import build

CHECKOUT = Path(__file__).with_name("pyproject.toml").is_file()  # not so for the link, nor in the wheel

ns = build(checkout=CHECKOUT)
