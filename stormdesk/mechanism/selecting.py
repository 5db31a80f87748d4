"""The process that a fault targets: by service of the inventory, by pid file, or by plain text in its command line. Pure."""

from __future__ import annotations

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Site
from stormdesk.core.safety import check_path, check_pattern
from stormdesk.core.values import shown


def selector(fault: str, service: str, pidfile: str, pattern: str, site: Site) -> tuple[str, str]:
    """(how, what), the words of the verb `sd_processes`. Raises UsageError unless exactly one is given, and is allowed."""
    given = [(how, what) for how, what in (("service", service), ("pidfile", pidfile), ("pattern", pattern)) if what]
    if len(given) != 1:
        known = ", ".join(sorted(site.host.services)) or "none in the inventory"
        raise UsageError(f"{fault} needs one of --service, --pidfile, --pattern. Services of {site.host.name}: {known}")
    how, what = given[0]
    if how == "service" and what not in site.host.services:
        raise UsageError(
            f"--service {shown(what)}: {site.host.name} runs {', '.join(sorted(site.host.services)) or 'none that the inventory names'}"
        )
    if how == "pidfile":
        check_path("--pidfile", what)
    if how == "pattern":
        check_pattern(what)
    return how, what
