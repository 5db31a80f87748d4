"""The power of a trader's volume fails while it trades: no acknowledged order is lost, unless its syncs lie. A short form of
`invoke dev.powercut`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.soak.power_cuts import LIES, sound, unsound
from tests.support.desk import Desk, sat_at

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def desk(brisk_lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with sat_at(brisk_lab, tmp_path_factory.mktemp("runs")) as desk:
        yield desk


def test_no_acknowledged_order_is_lost_between_write_and_fdatasync(desk: Desk, repeats: Callable[..., int]) -> None:
    """The random moments are those of the long form alone: each cut takes a quarter of a minute."""
    found = sound(desk, (), range(repeats(20, 1)), 0, print)
    assert found.problems == []
    assert (found.as_expected, found.landed, found.lost) == (found.cuts, found.at_breakpoints, 0)


def test_a_store_that_loses_its_power_comes_back(desk: Desk) -> None:
    """PostgreSQL has its cluster, and Redis takes a file whose end is zeros."""
    done = desk.invoke("chaos.power-cut", "--host", "store", "--for", "3s", "--allow-irreversible")
    assert (done["verdict"], done["residue"]) == ("held", "clean")


def test_with_syncs_that_lie_orders_are_lost_and_the_run_is_violated(desk: Desk) -> None:
    """The last test of this lab: what it loses stays lost."""
    found = unsound(desk, LIES)
    assert found.problems == []
    assert found.lost > 0
