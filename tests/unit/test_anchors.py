"""Events that a fault waits for: two ways to write each, and one line for what is none."""

from __future__ import annotations

import pytest

from stormdesk.core.anchors import Event
from stormdesk.core.errors import UsageError

FORMS: list[tuple[str, object]] = [
    ("venue:accepted:3", {"venue": "accepted", "nth": 3}),
    ("venue:filled:1", {"venue": "filled", "nth": 1}),
    ("venue:canceled:10000", {"venue": "canceled", "nth": "10000"}),
    ("trader-a:fdatasync:4", {"host": "trader-a", "syscall": "fdatasync", "nth": 4}),
    ("trader-a/trader:fdatasync:4", {"host": "trader-a", "service": "trader", "syscall": "fdatasync", "nth": 4}),
    ("venue:fdatasync:4", {"host": "venue", "syscall": "fdatasync", "nth": 4}),
    ("h.1_a/s-2:rt_sigaction:1", {"host": "h.1_a", "service": "s-2", "syscall": "rt_sigaction", "nth": 1}),
]


@pytest.mark.parametrize(("text", "document"), FORMS)
def test_both_forms_are_the_same_value(text: str, document: object) -> None:
    event = Event(text)
    assert str(event) == text
    assert Event.of(document) == event == Event.of(text)
    assert (event.nth, bool(event.venue), bool(event.host)) == (
        int(text.rpartition(":")[2]),
        not event.host,
        not event.venue,
    )


def test_its_parts() -> None:
    event = Event("trader-a/trader:fdatasync:4")
    assert (event.venue, event.host, event.service, event.syscall, event.nth) == (
        "",
        "trader-a",
        "trader",
        "fdatasync",
        4,
    )
    event = Event("venue:accepted:3")
    assert (event.venue, event.host, event.service, event.syscall, event.nth) == ("accepted", "", "", "", 3)
    host = Event("venue:fdatasync:4")
    assert (host.venue, host.host, host.syscall) == ("", "venue", "fdatasync")


@pytest.mark.parametrize(
    "text",
    [
        "", "venue", "venue:accepted", "venue:accepted:0", "venue:accepted:10001", "venue:accepted:-1", "venue:accepted:3:4",
        "venue:accepted: 3", "venue:accepted:³", "trader-a/:fdatasync:4", "/trader:fdatasync:4", "trader-a:fdatasync;id:4",
        "trader-a:FDATASYNC:4", "trader-a/trader/x:fdatasync:4", "trader-a:fdatasync:4\n", "a b:fdatasync:4", "accepted:3",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        Event(text)
    assert "\n" not in str(error.value)
    assert "e.g. venue:accepted:3" in str(error.value)


@pytest.mark.parametrize(
    "document",
    [
        {}, {"venue": "accepted"}, {"venue": "accepted", "nth": 3, "host": "a"}, {"nth": 3}, 3, None, ["venue", 3],
        {"venue": "asked", "nth": 3, "more": 1}, {"host": "a", "nth": 1}, {"venue": "accepted", "nth": True},
        {"venue": "accepted", "nth": 3.0}, {"health": "trader-a"},
    ],
)  # fmt: skip
def test_other_documents_are_refused(document: object) -> None:
    with pytest.raises(UsageError) as error:
        Event.of(document)
    assert "\n" not in str(error.value)


def test_venue_refused_is_read_as_a_call_of_a_host_named_venue() -> None:
    """A host may have that name. Whether there is such a call, strace on the host knows."""
    assert Event("venue:refused:3").syscall == "refused"
