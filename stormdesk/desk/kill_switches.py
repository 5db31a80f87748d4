"""The kill switches of the traders: pull all, reset all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stormdesk.desk.http_services import Answer, Services
from stormdesk.desk.settling import SETTLE_S, settled
from stormdesk.evidence.cut.venue_lines import OTHERS

OPEN = "/orders?open=true"
NAMED = 3
PULL_S = 30.0  # a kill switch cancels, and looks at the venue until nothing is open


def pull(services: Services, hosts: Sequence[str], order: Mapping[str, str]) -> Mapping[str, tuple[bool, str]]:
    """By host, whether its kill switch is on and, as it says, nothing is open at the venue; for the venue, whether it says so, too.
    With the line that says it. Where the trader is dead its host's guard does it, with a key of its own."""
    told = services.post("trader", "/execution/kill-switch/activate", order, hosts)  # it answers first, and then cancels
    dead = [host for host, answer in told.items() if not answer.ok]
    guards = services.post("guard", "/kill-switch", order, dead, PULL_S) if dead else {}
    ended = {}
    for host in hosts:
        if host in guards:
            who, seen = f"guard (the trader: {told[host].why})", guards[host].document.get("venue") or {}
        else:
            who, seen = "trader", _swept(services, host)
        verified = bool(seen.get("verified"))
        ended[host] = (
            verified,
            f"pulled by the {who}; open at the venue: {seen.get('open_at_venue', 'unknown')}, verified: {verified}",
        )
    return {**ended, **_venue_says(services)}


def _venue_says(services: Services) -> Mapping[str, tuple[bool, str]]:
    """What is open by the venue's own word, from its control port: nobody's mistake about his own orders is in it."""
    if not services.known("venue"):
        return {}
    (host,) = services.hosts("venue")[:1]
    answer = settled(lambda: services.get("venue", OPEN, [host])[host], lambda said: _open(said) == [], SETTLE_S)
    found = _open(answer)
    if found is None:
        return {host: (False, f"what is open is NOT known: {answer.why}")}
    return {host: (not found, f"open orders of the desk: {len(found)}{': ' + ', '.join(found[:NAMED]) if found else ''}")}


def _open(answer: Answer) -> list[str] | None:
    """The desk's open orders; None when the venue did not say."""
    if not answer.ok:
        return None
    try:
        return [order["clientOrderId"] for order in json.loads(answer.text) if order["account"] not in OTHERS]
    except (ValueError, TypeError, KeyError):
        return None


def release(services: Services, hosts: Sequence[str], order: Mapping[str, str]) -> Mapping[str, tuple[bool, str]]:
    """By host, whether trader and guard have reset it, and the line that says so."""
    answers = [
        services.post("trader", "/execution/kill-switch/reset", order, hosts),
        services.post("guard", "/kill-switch/reset", order, hosts, PULL_S),
    ]
    after = services.get("trader", "/execution/kill-switch/status", hosts)
    ended = {}
    for host in hosts:
        no = next((told[host].why for told in answers if not told[host].ok), "")
        active = after[host].document.get("active", True)
        ended[host] = (not no and not active, f"NOT reset: {no or after[host].why}" if no or active else "reset")
    return ended


def _swept(services: Services, host: str) -> Mapping[str, Any]:
    """A trader's kill switch, once it has seen that nothing is open at the venue, or the time is over."""
    status = "/execution/kill-switch/status"
    return settled(
        lambda: services.get("trader", status, [host])[host].document, lambda page: bool(page.get("verified")), SETTLE_S
    )
