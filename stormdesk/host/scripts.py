"""The host scripts, read once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from stormdesk.core.model import Argv
from stormdesk.host.library import HostScripts

ROOMS = ("core", "picture", "steps", "verbs", "probes")


@cache
def host_scripts() -> HostScripts:
    """`<room>/<name>` -> text of every file of the host library."""
    folder = resources.files("stormdesk") / "host"
    return {
        f"{room}/{entry.name}": entry.read_text()
        for room in ROOMS
        for entry in (folder / room).iterdir()
        if entry.name.endswith((".sh", ".awk", ".py"))
    }


def probe(name: str, *words: str, first: str = "") -> Argv:
    """The command that runs `probes/<name>.sh` with these words, after the probe `first` if one is named."""
    scripts = host_scripts()
    text = scripts[f"probes/{first}.sh"] if first else ""
    return ("sh", "-c", text + scripts[f"probes/{name}.sh"], "sh", *words)
