"""The engine's readers: inventories, runbooks, run records and the answers of hosts. Bytes are read, or refused in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable

from stormdesk.core import inventory as documents
from stormdesk.core import journal, runbook
from stormdesk.core.errors import HostError, StormdeskError, UsageError
from stormdesk.core.states import row
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS
from stormdesk.host import probe

PROBES = {"df": ("df", "-Pk", "/x"), "real": ("readlink", "-f", "/x")}


def _refused(error: StormdeskError) -> None:
    assert all(line.isprintable() for line in str(error).split("\n")), f"not for a terminal: {error!r}"
    assert len(str(error)) < 2000, "nobody reads that"


def inventory(data: bytes) -> None:
    """What is taken is written back the same, and none of it has a second meaning for ssh or on a terminal."""
    try:
        read = documents.parse(data, "hosts.json")
    except UsageError as error:
        _refused(error)
        return
    usable = [read.host(name) for name in read.hosts if name not in read.unusable]
    assert all(host.target.isprintable() and not host.address.startswith("-") for host in usable)
    assert documents.parse(documents.render(read), "again").hosts == {host.name: host for host in usable}


def book(data: bytes) -> None:
    """A runbook is parsed, with each fault of the catalogue; or an error says where."""
    try:
        found = runbook.variants(data.decode(errors="replace"), "book.md", runbook.Vocabulary(FAULTS, tuple(JUDGES)))
    except UsageError as error:
        _refused(error)
        return
    assert found
    assert all(book.faults for book in found)
    assert all(do.hold_s > 0 and do.hosts for book in found for do in book.faults)


def record(data: bytes) -> None:
    """The events are those of the lines that are whole; a second reading of them gives the same."""
    try:
        events = journal.read(data, "events.jsonl")
    except UsageError as error:
        _refused(error)
        return
    sums = [json.loads(journal.encode(event))["sum"].encode() for event in events]
    assert all(total in data for total in sums), "an event that nobody wrote"
    keep, more = journal.mended(data)
    assert journal.read(data[:keep] + more, "mended") == events


def answer(data: bytes) -> None:
    """Every reader of what a host prints gives a value, or says HostError; no state is invented."""
    text = data.decode("utf-8", "replace")
    readers: tuple[Callable[[], object], ...] = (
        lambda: probe.records(text), lambda: probe.status(text), lambda: probe.facts("h", text, PROBES), lambda: probe.look(text),
        lambda: probe.delta(text), lambda: probe.uptime_cs(text), lambda: probe.witnesses(text), lambda: probe.refusal(text),
        lambda: probe.space(text, text),
    )  # fmt: skip
    for reader in readers:
        try:
            reader()
        except HostError:
            continue
    try:
        found = probe.records(text)
    except HostError:
        return
    for one in found:
        assert all(f" {line.state}" in text for line in one.lines)
        assert one.state in ("", *(line.state for line in one.lines))
        assert one.bites == any(row(line.state).bites for line in one.lines)
