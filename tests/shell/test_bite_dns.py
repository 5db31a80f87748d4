"""dns-failure on a real kernel, beside a name server on another host: queries get what was asked for, and work again afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormdesk.faults.net.dns_failure import DnsFailure, Failure
from stormdesk.host.scripts import host_scripts
from tests.shell.neighbour import Neighbour, until
from tests.shell.rig import Rig, rig, states
from tests.shell.sandbox import SHELLS
from tests.shell.test_bite import bite, heal

# A name server that has the address 203.0.113.9 for every name, made of the same messages.
SERVER = (
    host_scripts()["verbs/dns.py"].partition('if sys.argv[1] == "ask"')[0]
    + """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.9.1.1", 53))
while True:
    message, sender = s.recvfrom(4096)
    s.sendto(answer(message, "203.0.113.9"), sender)
"""
)


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


@pytest.fixture
def named(host: Rig) -> Rig:
    """The host with a name server."""
    tables = "for table in nat mangle; do $tool -t $table -N x; $tool -t $table -X x; done"
    host.sandbox.sh(f"for tool in iptables ip6tables; do {tables}; done")
    beside = Neighbour(host.sandbox)
    host.sandbox.sh(f"echo nameserver 10.9.1.1 >/etc/resolv.conf; cat >/tmp/server.py <<'END'\n{SERVER}\nEND")
    beside.sh("python3 /tmp/server.py >/dev/null 2>&1 </dev/null &")
    until(lambda: resolves(host, "a.example") == "203.0.113.9")
    return host


def resolves(host: Rig, name: str) -> str:
    """What the C library says, by way of resolv.conf."""
    return host.sandbox.sh(f"timeout 4 getent ahostsv4 {name} | head -n 1 | cut -d' ' -f1").strip()


@pytest.mark.parametrize("mechanism", ["nft", "iptables"])
def test_queries_get_what_was_asked_for(named: Rig, mechanism: str) -> None:
    for answer, says in (("nxdomain", ""), ("servfail", ""), ("wrong", "192.0.2.7"), ("timeout", "")):
        before = bite(named, DnsFailure(answer=Failure(answer), address="192.0.2.7" if answer == "wrong" else "", mechanism=mechanism))
        assert resolves(named, "a.example") == says, answer
        heal(named, before)
        until(lambda: resolves(named, "a.example") == "203.0.113.9")


@pytest.mark.parametrize("mechanism", ["nft", "iptables"])
def test_other_names_resolve_as_before(named: Rig, mechanism: str) -> None:
    before = bite(named, DnsFailure(answer=Failure("wrong"), names="venue.example,DB", mechanism=mechanism))
    found = {
        name: resolves(named, name) for name in ("venue.example", "a.venue.example", "db", "avenue.example", "other")
    }
    assert found == {
        "venue.example": "192.0.2.1", "a.venue.example": "192.0.2.1", "db": "192.0.2.1",
        "avenue.example": "203.0.113.9", "other": "203.0.113.9",
    }  # fmt: skip
    heal(named, before)


def test_a_host_without_a_name_server_asks_itself(host: Rig) -> None:
    host.sandbox.sh("echo '# none' >/etc/resolv.conf")
    before = bite(host, DnsFailure(answer=Failure("wrong")))
    assert resolves(host, "a.example") == "192.0.2.1"
    heal(host, before)
    assert resolves(host, "a.example") == ""


def test_names_that_do_not_resolve_before_are_no_evidence(host: Rig) -> None:
    host.sandbox.sh("echo '# none' >/etc/resolv.conf")
    done = host.arm(host.plan(DnsFailure(answer=Failure("timeout"))))
    assert states(done)[-1] == "ACKED"
    assert "the witness would prove nothing, before the fault it says: .: no answer" in done.stdout
