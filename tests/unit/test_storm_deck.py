"""The order of faults in a storm: seeded, and no fault of a kind repeats before all others have come."""

from __future__ import annotations

from collections import Counter
from random import Random

from stormdesk.cli.catalogue import everything
from stormdesk.faults import FAULTS as CATALOGUE
from stormdesk.testnet.venue.faults import FAULTS
from tests.e2e import storm
from tests.support.invoking import inventory

HOSTS = inventory(22, "/nowhere")


def test_the_seed_alone_decides() -> None:
    assert storm.deck(Random(3), HOSTS, 21, 42) == storm.deck(Random(3), HOSTS, 21, 42)
    assert storm.deck(Random(3), HOSTS, 21, 42) != storm.deck(Random(4), HOSTS, 21, 42)


def test_a_full_storm_has_every_fault_of_the_venue_and_every_one_of_a_host() -> None:
    # Which services run with libfaketime is no inventory's to say, a restart takes the host away, and this one names no ports.
    anywhere = {name for name, kind in CATALOGUE.items() if kind.example(HOSTS)}
    assert set(CATALOGUE) - anywhere == {"clock-skew", "host-reboot", "port-block"}
    drawn = storm.deck(Random(1), HOSTS, len(anywhere), 42)
    kinds = Counter(name for name, _, _ in drawn)
    assert sum(times for name, times in kinds.items() if name.startswith("venue.")) == 42
    assert {name.removeprefix("venue.") for name in kinds if name.startswith("venue.")} == set(FAULTS)
    assert {name for name in kinds if not name.startswith("venue.")} == anywhere
    assert set(kinds) <= set(everything())


def test_no_fault_repeats_before_all_have_come_once() -> None:
    drawn = storm.deck(Random(2), HOSTS, 0, 2 * len(storm.SURVIVED))
    times = Counter((name, tuple(parameters.items())) for name, _, parameters in drawn)
    assert set(times.values()) == {2}
