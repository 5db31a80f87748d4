"""Events that a fault waits for: two ways to write each, and one line for what is none."""

from __future__ import annotations

import msgspec
import pytest

from stormdesk.core.anchors import Event, Within
from stormdesk.core.errors import UsageError
from stormdesk.run.held_process import service_of
from tests.support.invoking import inventory

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


HOSTS = inventory(22, "/nowhere")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nobody:fdatasync:1", "no host 'nobody'"),
        ("trader-a/redis:fdatasync:1", "--at trader-a/redis:fdatasync:1: trader-a runs "),
    ],
)
def test_a_process_that_is_not_there_is_refused_before_anybody_is_asked(text: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        service_of(Event(text), HOSTS)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_without_a_name_it_is_the_service_of_the_role_or_the_only_one() -> None:
    host = HOSTS.hosts["trader-a"]
    entry = next(iter(host.services.values()))

    def chosen(services: list[str], role: str = "trader", asked: str = "") -> str:
        one = msgspec.structs.replace(host, role=role, services=dict.fromkeys(services, entry))
        return service_of(
            Event(f"trader-a{asked}:fdatasync:1"), msgspec.structs.replace(HOSTS, hosts={"trader-a": one})
        )

    assert chosen(["guard", "trader"]) == "trader"
    assert chosen(["guard", "trader"], asked="/guard") == "guard"
    assert chosen(["redis"], role="store") == "redis"
    with pytest.raises(UsageError, match="which service"):
        chosen(["postgres", "redis"], role="store")


@pytest.mark.parametrize("text", ["1s", "30s", "5m"])
def test_how_long_an_event_may_take_to_come(text: str) -> None:
    assert 1 <= Within(text) <= 300


@pytest.mark.parametrize("text", ["0s", "500ms", "6m", "30", "soon"])
def test_too_long_or_too_short_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Within(text)
