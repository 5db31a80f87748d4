"""Things on a host that only look like a fault's: a baseline distinguishes them from a run's residue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.core.inventory import VERSION, Inventory, InventoryHost
from stormdesk.core.model import Argv, Completed, Verdict
from stormdesk.core.shell import words
from stormdesk.evidence import find_residue, take_cut
from stormdesk.evidence.cut.lines import Residue
from stormdesk.evidence.judges import JUDGES
from stormdesk.mechanism.shaping import HANDLE
from tests.shell.sandbox import SHELLS, Sandbox, require

HOST = InventoryHost(
    name="one", role="engine", address="192.0.2.1", host_key="ssh-ed25519 AAAA", identity_file="/k", paths={"data": "/var/lib/trading"}
)  # fmt: skip
INVENTORY = Inventory(version=VERSION, environment="desk", hosts={"one": HOST})
# A spare link that is down, a process that somebody stopped, somebody's rate limit.
PLANTS = {
    "link": ("ip link add spare0 type veth peer name spare1", "link spare0 is down"),
    "stopped": ("sleep 60 >/dev/null 2>&1 & sleep 0.3; kill -STOP $!", "stopped process "),
    "limit": ("tc qdisc add dev eth1 root tbf rate 8mbit burst 64kbit latency 400ms", "tc: qdisc tbf "),
}


@pytest.fixture(scope="module", params=SHELLS)
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    require("tc")
    with Sandbox(request.param) as sandbox:
        yield sandbox


def looked(box: Sandbox, facts: take_cut.RunFacts = take_cut.NO_RUN) -> tuple[Residue, Verdict, str]:
    def run(host: str, argv: Argv, deadline_s: float) -> Completed:
        del host
        return box.script(words(argv) + "\n", deadline_s)

    cut = take_cut.residue_only(run, INVENTORY, facts)
    result = JUDGES["I-13"](cut)
    return cut.residue["one"], result.verdict, result.why


def test_a_host_with_others_marks_is_clean_and_ours_is_found(box: Sandbox) -> None:
    assert looked(box)[0] == Residue(clean=True)
    for plant, _ in PLANTS.values():
        box.sh(plant)
    found, verdict, why = looked(box)
    assert [any(mark.startswith(named) for mark in found.marks) for _, named in PLANTS.values()] == [True] * 3
    assert (found.clean, verdict) == (True, Verdict.HELD)
    assert "not counted" in why
    before = {"one": found.marks}
    assert looked(box, take_cut.RunFacts(marks=before))[0].clean
    for name, (_, named) in PLANTS.items():
        rest = {"one": [mark for mark in found.marks if not mark.startswith(named)]}
        late, verdict, why = looked(box, take_cut.RunFacts(marks=rest))
        assert verdict is Verdict.VIOLATED, name
        assert why.startswith(f"one: {named}")
        assert len(late.marks) == len(rest["one"])
    assert looked(box, take_cut.RunFacts(marks={}))[0].clean  # it did not answer before the run
    box.sh("mkdir -p /run/stormdesk/r-1; iptables -A INPUT -m comment --comment stormdesk-r-1 -j ACCEPT 2>/dev/null; :")
    ours = looked(box, take_cut.RunFacts(marks=before))[0].ours
    assert ours[0] == "record /run/stormdesk/r-1"


def test_a_reading_without_marks_leaves_none_out() -> None:
    def run(host: str, argv: Argv, deadline_s: float) -> Completed:
        del host, deadline_s
        return Completed(argv, 0, "mark link eth1 is down\nlock /run/stormdesk/lock.x\nactive r-2\n")

    assert find_residue.marks(run, INVENTORY) == {"one": ("link eth1 is down",)}
    assert find_residue.look(run, INVENTORY)["one"] == Residue(
        clean=False, ours=("lock /run/stormdesk/lock.x",), others=("r-2",), marks=("link eth1 is down",)
    )


def test_a_qdisc_of_ours_is_known_by_its_handle_without_any_baseline() -> None:
    with Sandbox(SHELLS[0]) as sandbox:
        sandbox.sh(f"tc qdisc add dev eth1 root handle {HANDLE}: tbf rate 8mbit burst 64kbit latency 400ms")
        found, verdict, why = looked(sandbox)
        assert (found.clean, verdict, found.marks) == (False, Verdict.VIOLATED, ())
        assert f"tc: qdisc tbf {HANDLE}:" in why
        assert len(found.ours) == 1
