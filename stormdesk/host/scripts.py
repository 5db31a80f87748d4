"""The host scripts, read once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from stormdesk.host.library import HostScripts

ROOMS = ("core", "steps", "verbs")


@cache
def host_scripts() -> HostScripts:
    """`<room>/<name>.sh` -> text of every file of the host library."""
    folder = resources.files("stormdesk") / "host"
    return {
        f"{room}/{entry.name}": entry.read_text()
        for room in ROOMS
        for entry in (folder / room).iterdir()
        if entry.name.endswith(".sh")
    }
