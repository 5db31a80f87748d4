"""The file or folder that a fault is aimed at: what was typed, else the host's data folder. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Site
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.safety import check_path


def chosen(path: str, site: Site) -> str:
    """The folder, checked. Raises UsageError where none was typed and the inventory names none, and for one that is never touched."""
    path = path or next(iter(site.host.paths.values()), "")
    if not path:
        raise UsageError(f"--path is required: the inventory names no data folder on {site.host.name}")
    return check_path("--path", path)


def probes(path: str) -> Mapping[str, Argv]:
    """What `check_there` must know, and the type of its file system."""
    return {
        "df": ("df", "-Pk", path),
        "real": ("readlink", "-f", path),
        "type": ("stat", "-f", "-c", "%T", path),
    }


def check_there(path: str, facts: HostFacts, site: Site, what: str = "folder") -> None:
    """Raise RefusedError unless it is there and no link leads to it. From the answers of `probes`."""
    if not facts.answers["df"].ok or facts.answers["real"].stdout.strip() != path:
        raise RefusedError(
            f"--path {path}: no such {what} on {site.host.name}, or a symbolic link. Nothing was changed"
        )
