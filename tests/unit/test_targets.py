"""From the words of --host and of a runbook to hosts, when they are asked for and again when a run is armed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from stormdesk.core import targets
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.targets import Leader, Target
from stormdesk.run import aim
from stormdesk.run.aim import Aim
from stormdesk.run.stack import Sample, Tracker
from tests.support.invoking import inventory

HOSTS: Inventory = inventory(22, "/nowhere")
STATIC = [
    (["trader-a"], ("trader-a",)),
    (["venue,trader-a"], ("venue", "trader-a")),
    (["trader-b", "trader-a,trader-b"], ("trader-b", "trader-a")),
    (["role:trader"], ("trader-a", "trader-b")),
    (["role:venue", "role:trader"], ("venue", "trader-a", "trader-b")),
    (["one:role:venue"], ("venue",)),
    (["all:role:trader"], ("trader-a", "trader-b")),
    (["majority:role:trader"], ("trader-a", "trader-b")),
]


class Led:
    """A stack whose leader is the next of these, and stays the last; "" is nobody."""

    def __init__(self, *leaders: str) -> None:
        self.leaders = list(leaders)
        self.asked = 0

    def leader(self) -> Leader:
        self.asked += 1
        host = self.leaders.pop(0) if len(self.leaders) > 1 else self.leaders[0]
        if not host:
            raise RefusedError("nobody leads just now")
        return Leader(host, "it has the lock")

    def sample(self, without: Any = ()) -> Sample:
        raise AssertionError("no look is due")

    def track(self, from_t: float) -> Tracker:
        raise AssertionError("no clock is due")


def nobody() -> Leader:
    raise RefusedError("nobody was to be asked who leads")


def choose(words: Sequence[str], hosts: Inventory = HOSTS, seed: int = 1) -> tuple[str, ...]:
    return targets.hosts_of(targets.chosen(words, hosts, seed, Random(seed), nobody))


def five_traders() -> Inventory:
    trader = HOSTS.hosts["trader-a"]
    hosts = {f"t{number}": msgspec.structs.replace(trader, name=f"t{number}") for number in range(5)}
    return msgspec.structs.replace(HOSTS, hosts=hosts)


@pytest.mark.parametrize(("words", "chosen"), STATIC)
def test_hosts_are_chosen_once_each_in_the_order_given(words: list[str], chosen: tuple[str, ...]) -> None:
    assert choose(words) == chosen


def test_one_of_a_role_follows_the_seed() -> None:
    picks = [choose(["one:role:trader"], seed=seed)[0] for seed in range(30)]
    assert set(picks) == {"trader-a", "trader-b"}
    assert picks == [choose(["one:role:trader"], seed=seed)[0] for seed in range(30)]


def test_a_minority_and_a_majority_follow_the_seed() -> None:
    five = five_traders()
    for share, count in (("minority", 2), ("majority", 3)):
        picks = [choose([f"{share}:role:trader"], five, seed) for seed in range(40)]
        assert {len(pick) for pick in picks} == {count}
        assert all(list(pick) == sorted(pick) for pick in picks)
        assert len(set(picks)) > 5
        assert picks == [choose([f"{share}:role:trader"], five, seed) for seed in range(40)]


def test_two_hosts_have_no_minority() -> None:
    with pytest.raises(UsageError, match="of 2 hosts no number is a minority; it takes three"):
        choose(["minority:role:trader"])


@pytest.mark.parametrize(
    "words", [[], [""], ["nobody"], ["role:"], ["role:nobody"], ["one:venue"], ["a b"], ["venue,"], ["one:leader"]]
)
def test_unknown_hosts_are_refused_with_the_known_ones(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--host|no host 'nobody'"):
        choose(words)
    with pytest.raises(UsageError, match=r"--host|no host 'nobody'"):
        aim.check(words, HOSTS, Led("trader-a"))


def test_who_leads_is_asked_when_the_run_is_planned_and_each_word_says_what_decided() -> None:
    stack = Led("trader-b")
    found = Aim(["leader,one:role:trader", "leader", "venue"], HOSTS, 3, stack)
    one = choose(["one:role:trader"], seed=3)
    assert found.targets == (
        Target("leader", ("trader-b",), "it has the lock"),
        Target("one:role:trader", one, "seed 3"),
        Target("leader", ("trader-b",), "it has the lock"),
        Target("venue", ("venue",)),
    )
    assert found.hosts == tuple(dict.fromkeys(["trader-b", *one, "venue"]))
    assert stack.asked == 1


def test_a_run_that_names_no_leader_asks_nobody() -> None:
    stack = Led("")
    found = Aim(["role:trader"], HOSTS, 1, stack)
    found.confirm()
    assert stack.asked == 0


def test_a_leader_that_leads_still_is_confirmed_right_before_arming() -> None:
    stack = Led("trader-a")
    Aim(["leader"], HOSTS, 1, stack).confirm()
    assert stack.asked == 2


@pytest.mark.parametrize(
    ("then", "says"),
    [("trader-b", "^trader-a led when the run was planned, trader-b leads now"), ("", "nobody leads just now")],
)
def test_another_leader_between_plan_and_arming_refuses_the_run(then: str, says: str) -> None:
    found = Aim(["leader"], HOSTS, 1, Led("trader-a", then))
    with pytest.raises(RefusedError, match=says):
        found.confirm()


def test_nobody_leads_hosts_that_are_no_stack_of_ours() -> None:
    for refused in (lambda: Aim(["leader"], HOSTS, 1, None), lambda: aim.check(["venue,leader"], HOSTS, None)):
        with pytest.raises(RefusedError, match=r"^--host leader: nobody leads the hosts of trap") as caught:
            refused()
        assert "\n" not in str(caught.value)
    aim.check(["leader"], HOSTS, Led(""))  # who leads is asked late


def test_a_leader_that_the_inventory_does_not_have_is_an_error() -> None:
    with pytest.raises(UsageError, match="no host 'trader-c'"):
        Aim(["leader"], HOSTS, 1, Led("trader-c"))


def test_a_host_that_is_called_leader_is_that_host() -> None:
    named = msgspec.structs.replace(HOSTS.hosts["venue"], name="leader")
    hosts = msgspec.structs.replace(HOSTS, hosts={**HOSTS.hosts, "leader": named})
    assert Aim(["leader"], hosts, 1, None).hosts == ("leader",)
    aim.check(["leader"], hosts, None)


@pytest.mark.parametrize("word", ["trader-a", "leader", "role:trader", "one:role:t", "minority:role:t", "all:role:t"])
def test_a_runbook_takes_these_words_without_an_inventory(word: str) -> None:
    assert targets.wrong(word) == ""


@pytest.mark.parametrize("word", ["", "a b", "one:venue", "some:role:trader", "-oProxyCommand=x", "a;id", "x" * 64])
def test_a_runbook_refuses_these_words_without_an_inventory(word: str) -> None:
    assert targets.wrong(word).startswith("must be a name")
