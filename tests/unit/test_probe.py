"""Reading the output of hosts: valid answers become values, all others a HostError, never a traceback."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.core.errors import HostError
from stormdesk.core.model import Completed
from stormdesk.host import network, probe

RECORD = """uptime 4970.12
run r-20261121-0312-k3f9 /run/stormdesk
watchdog 17.4946
watchdog 19.4947
line 494600 INTENT fault=disk-full deadline=498600 boot=94cbab08
line 494601 ARMED oom=-1000
line 494605 ACKED a=17.4946 b=19.4947 oom=-1000
line 494606 INJECTING injected_at=494606
line 494607 STEP file=/var/lib/trading/.stormdesk-r-1 inode=12
line 494608 INJECTED
line 494609 CONFIRMED a fresh 4 KiB write as trading in /x: No space left on device
line 498650 REVERTING by=watchdog at_it=17.4946
line 498660 REVERTED reverted_by=watchdog late_cs=60
line 498661 STEP started_by=manager
"""
ANSWER = base64.b64encode("a\nb é".encode()).decode()
FACTS = f"""uid 0
uptime 4970.12
boot_id 94cbab08-b6ca
pid_namespace pid:[4026532]
marker {{"environment": "demo", "ephemeral": true}}
boot_hook yes
active /run/stormdesk/r-1
active /run/stormdesk/r-2
tool ip
tool dd
probe df 0 {ANSWER}
probe none 1
"""
PROBES = {"df": ("df", "-Pk", "/x"), "none": ("false",)}


def test_a_host_record() -> None:
    (record,) = probe.records(RECORD)
    assert (record.run_id, record.base, record.state) == ("r-20261121-0312-k3f9", "/run/stormdesk", "REVERTED")
    assert record.watchdogs == ("17.4946", "19.4947")
    assert record.value("deadline") == "498600"
    assert record.value("reverted_by") == "watchdog"
    assert record.value("started_by") == "manager"  # of a remark, after the last state
    assert record.value("nothing") == ""
    assert record.lateness_ms == 600
    assert record.bites
    armed = record.at("ARMED")
    assert armed is not None
    assert (armed.uptime_cs, armed.text) == (494601, "oom=-1000")
    assert record.at("REVERT_FAILED") is None
    assert probe.uptime_cs(RECORD) == 497012


def test_the_last_of_equal_keys_counts() -> None:
    (record,) = probe.records("run r-1 /run\nline 1 A k=1\nline 2 STEP k=2\nline 3 B k=3\n")
    assert record.value("k") == "3"
    assert not record.bites


def test_the_status_of_a_host() -> None:
    status = probe.status(f"base /run/stormdesk\nnow 4990\nhalt by me\n{RECORD}lock disk__x r-1\n")
    assert (status.now_cs, status.halt, dict(status.locks)) == (4990, "by me", {"disk__x": "r-1"})
    assert len(status.records) == 1
    assert not status.empty
    assert probe.status("base none\n").empty


def test_facts() -> None:
    facts = probe.facts("h", FACTS, PROBES)
    assert (facts.uid, facts.identity.boot_id, facts.identity.pid_namespace) == (0, "94cbab08-b6ca", "pid:[4026532]")
    assert facts.marker == {"environment": "demo", "ephemeral": True}
    assert facts.marker_text == '{"environment": "demo", "ephemeral": true}'
    assert (facts.production, facts.halted, facts.boot_hook, facts.active) == (False, False, True, 2)
    assert facts.tools == {"ip", "dd"}
    assert facts.answers == {"df": Completed(PROBES["df"], 0, "a\nb é"), "none": Completed(PROBES["none"], 1, "")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no answer to df, none"),
        (FACTS.replace("probe none", "probe other"), "nobody asked"),
        (FACTS.replace('{"environment"', "{environment"), "not JSON"),
        (FACTS.replace('{"environment": "demo", "ephemeral": true}', "[1]"), "not a JSON object"),
        (FACTS.replace('{"environment": "demo", "ephemeral": true}', "[" * 100_000), "not JSON"),
        (FACTS.replace("uid 0", "uid root"), "not a number"),
        (FACTS.replace("probe none 1", "probe none x"), "probe none x"),
        (FACTS.replace("probe df 0 ", "probe df 0 %"), "probe df"),
    ],
)
def test_facts_that_cannot_be_read(text: str, says: str) -> None:
    with pytest.raises(HostError) as caught:
        probe.facts("h", text, PROBES)
    assert says in str(caught.value)


@settings(max_examples=300, deadline=None, database=None)
@given(
    text=st.lists(
        st.tuples(
            st.sampled_from(
                ["run", "line", "watchdog", "lock", "base", "now", "halt", "uid", "probe", "marker", "uptime"]
            ),
            st.text(max_size=30),
        ).map(" ".join),
        max_size=8,
    ).map("\n".join)
)
def test_no_answer_causes_a_traceback(text: str) -> None:
    for read in (
        probe.records,
        probe.status,
        probe.refusal,
        probe.uptime_cs,
        probe.delta,
        probe.look,
        probe.processes,
        lambda said: probe.facts("h", said, PROBES),
        lambda said: probe.space(said, said),
        lambda said: network.interface("eth1", network.Said(said, said, said, said, said, said, said)),
    ):
        with contextlib.suppress(HostError):
            read(text)


def test_whose_the_changes_were() -> None:
    text = "ours - link a flag UP\nours + file b\nside - mount c\nothers + route4 d\texpires 3sec\nleft + file b\n"
    delta = probe.delta(text)
    assert (delta.ours, delta.side) == (("- link a flag UP", "+ file b"), ("- mount c",))
    assert (delta.others, delta.left) == (("+ route4 d",), ("+ file b",))
    assert delta.back == ("+ link a flag UP", "+ mount c")
    assert probe.delta("line 1 REVERTED\n") == probe.NO_DELTA


def test_a_look_in_the_hold() -> None:
    assert probe.look("watchdog 1.2\nwatchdog 3.4\nstill 1\n") == (("1.2", "3.4"), 1)
    assert probe.look("") == ((), 255)


def test_a_refusal_in_the_hosts_own_words() -> None:
    assert probe.refusal("run x y\nrefused halted: by me\n") == "halted: by me"
    assert probe.refusal("run x y\n") == ""


DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 63392 24 58744 1% /srv/my data\n"
INODES = "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/vda 16384 11 16373 1% /srv\n"


def test_space() -> None:
    space = probe.space(DF, INODES)
    assert (space.total_kib, space.used_kib, space.free_kib, space.free_inodes) == (63392, 24, 58744, 16373)
    assert space.mount == "/srv/my data"
    assert probe.space(DF, INODES.replace("16373", "-")).free_inodes == 0  # a file system that has none to count


@pytest.mark.parametrize("text", ["", "df: no such file\n", DF.replace("58744", "-"), DF.replace(" /srv/my data", "")])
def test_space_that_cannot_be_read(text: str) -> None:
    with pytest.raises(HostError, match="unreadable df"):
        probe.space(text, INODES)


def test_processes() -> None:
    assert probe.processes("\n") == ()
    (one,) = probe.processes("17.4946 800 python -m x  y \n")
    assert (one.identity, one.uid, one.command) == ("17.4946", 800, "python -m x  y ")
