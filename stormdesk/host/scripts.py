"""The host scripts, read once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from stormdesk.host.render import HostScripts


@cache
def host_scripts() -> HostScripts:
    """Name -> text of every file in stormdesk/host/."""
    folder = resources.files("stormdesk") / "host"
    return {entry.name: entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".sh")}
