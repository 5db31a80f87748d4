"""All tasks of Stormdesk in one line; tasks of the desk's own would follow, with `ns.add_task(...)`."""

from stormdesk.tasks import ns  # noqa: F401
