"""What is never allowed, and what needs a flag."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from stormdesk.core import safety
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.core.model import HostFacts, Identity
from stormdesk.core.safety import Allow, Claim, Seen
from tests.cases.planning import a_plan, changed

CONTROLLER = Identity("boot-1", "pid:[1]")
FACTS = HostFacts(
    host="trader-0",
    identity=Identity("boot-1", "pid:[2]"),
    uid=0,
    marker={"environment": "demo", "ephemeral": True},
    marker_text="{}",
    production=False,
    halted=False,
    boot_hook=True,
    tools=frozenset(),
    active=0,
)
PLAN = a_plan(host="trader-0")


def hosts(**roles: int) -> Inventory:
    named = {f"{role}-{n}": role for role, count in roles.items() for n in range(count)}
    entries = {
        name: InventoryHost(name=name, role=role, address="h", host_key="ssh-ed25519 A", identity_file="/k")
        for name, role in named.items()
    }
    return Inventory(version=VERSION, environment="demo", hosts=entries)


# ---- hosts ----------------------------------------------------------------------------------------------------------


def test_a_marked_host_of_this_environment_may_be_touched() -> None:
    safety.check_host(FACTS, hosts(trader=1), CONTROLLER)


def test_a_host_on_the_same_kernel_or_in_an_equal_namespace_elsewhere_is_not_the_controller() -> None:
    """The controller's own host is defined as equal boot id AND equal pid namespace; lab hosts share the boot id."""
    for identity in (Identity("boot-1", "pid:[2]"), Identity("boot-2", "pid:[1]")):
        safety.check_host(dataclasses.replace(FACTS, identity=identity), hosts(trader=1), CONTROLLER)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"identity": CONTROLLER}, "is the machine that this runs on: never a target"),
        ({"production": True}, "carries /etc/stormdesk.production: never a target"),
        ({"marker": None}, "has no /etc/stormdesk.target: it is not a target of demo"),
        ({"marker": {}}, "belongs to environment 'None', not 'demo'"),
        ({"marker": {"environment": "prod\n\x1b[31m"}}, r"belongs to environment 'prod\n\x1b[31m', not 'demo'"),
        ({"marker": {"environment": ["demo"]}}, "not 'demo'"),
        ({"uid": 1000}, "root is needed"),
        ({"halted": True}, "is halted: no faults until it is lifted"),
    ],
)
def test_any_other_host_is_refused(changes: Mapping[str, Any], says: str) -> None:
    with pytest.raises(RefusedError) as caught:
        safety.check_host(dataclasses.replace(FACTS, **changes), hosts(trader=1), CONTROLLER)
    assert str(caught.value).startswith("trader-0 ") or str(caught.value).startswith("trader-0:")
    assert says in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert str(caught.value).isprintable()


# ---- how many at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "chosen", "ephemeral", "allow", "refusal"),
    [
        ({"trader": 2}, 1, False, Allow(), ""),  # another one is left
        ({"venue": 1}, 1, True, Allow(), ""),  # made to be broken
        ({"venue": 1}, 1, False, Allow(), "venue-0 is the only venue and is not ephemeral.   --allow-role-share 100"),
        ({"venue": 1}, 1, False, Allow(role_share=100), ""),
        (
            {"trader": 2},
            2,
            True,
            Allow(),
            "2 of 2 hosts of role trader at once: at most 33 %.   --allow-role-share 100",
        ),
        ({"trader": 6}, 2, True, Allow(), "2 of 6 hosts"),
        ({"trader": 7}, 2, False, Allow(), ""),
        ({"trader": 7}, 3, False, Allow(), "3 of 7 hosts"),
        ({"trader": 4}, 2, False, Allow(role_share=50), ""),
        ({"trader": 4}, 3, False, Allow(role_share=74), "3 of 4 hosts of role trader at once: at most 74 %"),
        ({"trader": 4}, 4, False, Allow(role_share=99), "4 of 4 hosts"),
        ({"trader": 4}, 4, False, Allow(role_share=100), ""),
        ({"trader": 50}, 29, False, Allow(role_share=58, hosts=50), ""),  # 0.58 * 50 is 28.999999999999996
        ({"trader": 50}, 11, False, Allow(), "11 hosts at once: at most 10.   --allow-hosts 11"),
        ({"trader": 50}, 11, False, Allow(hosts=11), ""),
        ({"trader": 50}, 11, False, Allow(hosts=10), "at most 10"),
    ],
)
def test_the_spread_of_a_fault(roles: dict[str, int], chosen: int, ephemeral: bool, allow: Allow, refusal: str) -> None:
    known = hosts(**roles)
    picked = list(known.hosts)[:chosen]
    names = set(picked) if ephemeral else set()
    if not refusal:
        safety.check_spread(picked, known, names, allow, {})
        return
    with pytest.raises(RefusedError) as caught:
        safety.check_spread(picked, known, names, allow, {})
    assert refusal in str(caught.value)


# ---- together with others, by machine -----------------------------------------------------------------------------------

BUSY = (Claim("r-9"),)


def seen(*names: str, claims: tuple[Claim, ...] = ()) -> dict[str, Seen]:
    return {name: Seen(Identity(f"boot-{name}", "pid:[1]"), claims) for name in names}


@pytest.mark.parametrize(
    ("roles", "chosen", "found", "allow", "refusal"),
    [
        ({"trader": 2}, ["trader-0"], seen("trader-1"), Allow(), ""),
        (
            {"trader": 2},
            ["trader-0"],
            seen("trader-1", claims=BUSY),
            Allow(),
            "2 of 2 hosts of role trader at once (run r-9 is on trader-1): at most 33 %. Wait, or: --allow-role-share 100",
        ),
        ({"trader": 2}, ["trader-0"], seen("trader-1", claims=BUSY), Allow(role_share=100), ""),
        ({"trader": 2}, ["trader-0"], seen("trader-0", claims=BUSY), Allow(), ""),  # a second fault on the same host
        ({"trader": 2}, ["trader-0"], {"trader-1": Seen()}, Allow(), "trader-1 does not answer and counts as taken"),
        ({"trader": 7}, ["trader-0"], seen("trader-1", claims=BUSY), Allow(), ""),
        ({"trader": 7}, ["trader-0"], seen("trader-1", "trader-2", claims=BUSY), Allow(), "3 of 7 hosts"),
        ({"trader": 2, "ops": 1}, ["ops-0"], seen("trader-1", claims=BUSY), Allow(), ""),  # another role
        (
            {"node": 48},
            ["node-0"],
            seen(*(f"node-{n}" for n in range(1, 11)), claims=BUSY),
            Allow(),
            "run r-9 is on node-1; run r-9 is on node-10; run r-9 is on node-2 and 7 more): at most 10. Wait, or: --allow-hosts 11",
        ),
        ({"node": 48}, ["node-0"], seen(*(f"node-{n}" for n in range(1, 10)), claims=BUSY), Allow(), ""),
        ({"node": 48}, ["node-0"], seen(*(f"node-{n}" for n in range(1, 11)), claims=BUSY), Allow(hosts=11), ""),
    ],
)
def test_case_C37_runs_of_others_count(
    roles: dict[str, int], chosen: list[str], found: dict[str, Seen], allow: Allow, refusal: str
) -> None:
    everybody = {**seen(*chosen), **found}
    if not refusal:
        safety.check_spread(chosen, hosts(**roles), chosen, allow, everybody)
        return
    with pytest.raises(RefusedError) as caught:
        safety.check_spread(chosen, hosts(**roles), chosen, allow, everybody)
    assert refusal in str(caught.value)


ONE = Seen(Identity("boot-1", "pid:[7]"))
BESIDE_IT = Seen(Identity("boot-1", "pid:[8]"))  # another container on the same kernel
HELD = Seen(ONE.identity, BUSY)


@pytest.mark.parametrize(
    ("roles", "chosen", "found", "refusal"),
    [
        ({"trader": 9}, ["trader-0", "trader-1"], {"trader-0": ONE, "trader-1": ONE}, "are one machine by two names"),
        ({"trader": 9}, ["trader-0", "trader-1"], {"trader-0": ONE, "trader-1": BESIDE_IT}, ""),
        ({"trader": 9, "ops": 1}, ["trader-0", "ops-0"], {"trader-0": ONE, "ops-0": ONE}, "are one machine by two names"),
        # Seven names, six machines: two of them are more than a third.
        ({"trader": 7}, ["trader-0", "trader-2"], {"trader-0": ONE, "trader-1": ONE, **seen("trader-2")}, "2 of 6 hosts"),
        # Held under both its names, it counts once.
        ({"trader": 8}, ["trader-2"], {"trader-0": HELD, "trader-1": HELD, **seen("trader-2")}, ""),
        # Two names, one machine: it is the only trader.
        ({"trader": 2}, ["trader-0"], {"trader-0": ONE, "trader-1": ONE}, "trader-0 is the only trader"),
        # Taken as ops, it is the trader all the same.
        ({"trader": 2, "ops": 2}, ["ops-0"], {"ops-0": ONE, "trader-0": ONE, **seen("trader-1", claims=BUSY)}, "2 of 2 hosts of role"),
    ],
)  # fmt: skip
def test_case_C37_machines_are_counted_and_not_names(
    roles: dict[str, int], chosen: list[str], found: dict[str, Seen], refusal: str
) -> None:
    if not refusal:
        safety.check_spread(chosen, hosts(**roles), (), Allow(), found)
        return
    with pytest.raises(RefusedError) as caught:
        safety.check_spread(chosen, hosts(**roles), (), Allow(), found)
    assert refusal in str(caught.value)


def test_case_C37_only_hosts_that_a_limit_counts_are_asked() -> None:
    """A host that is alone in its role, in an environment of no more hosts than may be taken, needs no question."""
    few = hosts(trader=2, ops=1)
    few = Inventory(version=VERSION, environment="demo", hosts={n: unlike(h) for n, h in few.hosts.items()})
    assert safety.rivals(["ops-0"], few, Allow()) == set()
    assert safety.rivals(["trader-0"], few, Allow()) == {"trader-1"}
    assert safety.rivals(["trader-0"], few, Allow(role_share=100)) == set()
    assert safety.rivals(["ops-0"], few, Allow(hosts=2)) == {"trader-0", "trader-1"}
    twice = {**few.hosts, "trader-9": known_as(few.hosts["ops-0"], "trader-9", "trader")}
    known = Inventory(version=VERSION, environment="demo", hosts=twice)
    assert safety.rivals(["ops-0"], known, Allow()) == {"trader-0", "trader-1", "trader-9"}  # by its host key


def unlike(host: InventoryHost) -> InventoryHost:
    """The same with a host key of its own."""
    return msgspec.structs.replace(host, host_key=f"ssh-ed25519 {host.name.replace('-', '')}")


def known_as(host: InventoryHost, name: str, role: str) -> InventoryHost:
    return msgspec.structs.replace(host, name=name, role=role)


# ---- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "boot_hook", "active", "allow", "refusal"),
    [
        ({}, True, 0, Allow(), ""),
        ({"irreversible": True}, True, 0, Allow(), "--allow-irreversible"),
        ({"irreversible": True}, True, 0, Allow(irreversible=True), ""),
        ({"persistent": True}, True, 0, Allow(), ""),
        ({"persistent": True}, False, 0, Allow(), "--allow-no-boot-hook"),
        ({"persistent": True}, False, 0, Allow(no_boot_hook=True), ""),
        ({}, False, 2, Allow(), ""),
        ({}, False, 3, Allow(), "3 faults are in already on trader-0: at most 3"),
        ({}, False, 3, Allow(faults=4), ""),
        ({}, False, 4, Allow(faults=4), "--allow-faults 5"),
    ],
)
def test_the_guards_of_a_plan(
    changes: Mapping[str, Any], boot_hook: bool, active: int, allow: Allow, refusal: str
) -> None:
    plan, facts = changed(PLAN, **changes), dataclasses.replace(FACTS, boot_hook=boot_hook)
    if not refusal:
        safety.check_plan(plan, facts, active, allow)
        return
    with pytest.raises(RefusedError) as caught:
        safety.check_plan(plan, facts, active, allow)
    assert refusal in str(caught.value)


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/srv", "/srv"), ("/srv//a/./b/", "/srv/a/b"), ("/srv/a b", "/srv/a b"), ("/srv/é", "/srv/é"), ("/etcetera", "/etcetera")],
)  # fmt: skip
def test_plain_paths(path: str, plain: str) -> None:
    assert safety.check_path("--path", path) == plain


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "//", "/.", "srv", "../..", "/srv/..", "/srv/../etc", "~", "-x", "a\0b"),
        *("/boot", "/boot/x", "/etc", "/./etc", "//etc", "/usr/lib", "/proc/1", "/sys", "/dev/shm", "/bin", "/sbin", "/lib"),
        *("/a\tb", "/a\0b", "/a\nb", "/a\u202eb", "/a\x7f", "/\udcff", "/" + "a" * 5000, "/" + "a" * 2_000_000),
    ],
)  # fmt: skip
def test_other_paths_are_refused_in_one_harmless_line(path: str) -> None:
    with pytest.raises(UsageError, match=r"^--path ") as caught:
        safety.check_path("--path", path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["eth0", "eth1.100", "br-1a2b3c4d5e6f", "wg_0", "veth0@if3", "a", "x" * 15])
def test_interface_names(name: str) -> None:
    assert safety.check_interface(name) == name


@pytest.mark.parametrize(
    "name", ["", "lo", "all", "default", "eth0;reboot", "x" * 16, "-oX", "a b", "a/b", "..", "eth0\n", "$(id)", "é"]
)
def test_other_interface_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"^--interface ") as caught:
        safety.check_interface(name)
    assert "eth1" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["testnet.trader", "a b'; $(reboot)", "initdb", "--config /etc/x.json"])
def test_patterns(text: str) -> None:
    assert safety.check_pattern(text) == text


@pytest.mark.parametrize(
    "text", ["", "ab", "x" * 201, "a\nb", "abc\x1b", "sshd", "/usr/sbin/sshd", "stormdesk", "supervisord", "init", "pid init"]
)  # fmt: skip
def test_other_patterns_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--pattern ") as caught:
        safety.check_pattern(text)
    assert str(caught.value).isprintable()
