"""Packets of a host by interface, direction, other side, protocol and port, and how rules say so. Pure.

Our own SSH connection is never among them: each set of rules lets it pass first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stormdesk.core.model import Argv


@dataclass(frozen=True)
class Ssh:
    """Our own connection: the address that it comes from, and the port of the host's sshd."""

    address: str
    port: str


@dataclass(frozen=True)
class Traffic:
    """Packets. An empty field selects all: of any interface, with any address, protocol, port. `ports` are ports on either
    side; `directions` are "in" and "out"."""

    interface: str = ""
    directions: Argv = ("in", "out")
    addresses: Argv = ()
    protocol: str = ""
    ports: Argv = ()
    ssh: Ssh | None = None

    @property
    def families(self) -> Argv:
        """Of IP, "4" and "6": those of the addresses, or both."""
        found = {"6" if ":" in address else "4" for address in self.addresses}
        return tuple(sorted(found)) or ("4", "6")

    def of_family(self, family: str) -> Argv:
        """The addresses of one family."""
        return tuple(address for address in self.addresses if (":" in address) == (family == "6"))

    def says(self) -> str:
        """For people: `out of eth1, to 10.77.1.11, tcp port 8443`."""
        ways = "through" if len(self.directions) > 1 else {"in": "into", "out": "out of"}[self.directions[0]]
        parts = [f"{ways} {self.interface or 'any interface'}"]
        if self.addresses:
            parts.append(f"with {', '.join(self.addresses)}")
        if self.protocol or self.ports:
            port = f"port {','.join(self.ports)}" if self.ports else ""
            parts.append(f"{self.protocol} {port}".strip())
        return ", ".join(parts)


def protocols(traffic: Traffic) -> Sequence[str]:
    """The protocols that rules must name one by one: with ports, tcp and udp."""
    if traffic.protocol:
        return [traffic.protocol]
    return ["tcp", "udp"] if traffic.ports else [""]


def nft(traffic: Traffic, direction: str) -> Iterator[str]:
    """The matches of nft rules: who is let pass first, as whole rules, is in `nft_ssh`."""
    interface = f'{"oif" if direction == "out" else "iif"}name "{traffic.interface}" ' if traffic.interface else ""
    side = "daddr" if direction == "out" else "saddr"
    for family in traffic.families if traffic.addresses else [""]:
        some = f"{{ {', '.join(traffic.of_family(family))} }}"
        address = {"4": f"ip {side} {some} ", "6": f"ip6 {side} {some} ", "": ""}[family]
        for protocol in protocols(traffic):
            if traffic.ports:
                for end in ("dport", "sport"):
                    yield f"{interface}{address}{protocol} {end} {{ {', '.join(traffic.ports)} }} "
            else:
                which = {"icmp": "{ icmp, icmpv6 }"}.get(protocol, protocol)
                yield f"{interface}{address}{f'meta l4proto {which} ' if which else ''}"


def nft_ssh(traffic: Traffic, direction: str) -> Iterator[str]:
    """The nft rule that lets our own connection pass."""
    if traffic.ssh:
        ip = "ip6" if ":" in traffic.ssh.address else "ip"
        side, end = ("daddr", "sport") if direction == "out" else ("saddr", "dport")
        yield f"{ip} {side} {traffic.ssh.address} tcp {end} {traffic.ssh.port} accept"


def iptables(traffic: Traffic, direction: str, family: str) -> Iterator[Argv]:
    """The matches of rules of iptables (family "4") or ip6tables ("6")."""
    interface = ("-o" if direction == "out" else "-i", traffic.interface) if traffic.interface else ()
    side = "-d" if direction == "out" else "-s"
    icmp = "icmp" if family == "4" else "ipv6-icmp"
    addresses = traffic.of_family(family)
    for address in addresses or ([""] if not traffic.addresses else []):
        to = (side, address) if address else ()
        for protocol in protocols(traffic):
            kind = ("-p", icmp if protocol == "icmp" else protocol) if protocol else ()
            ports = ("-m", "multiport", "--ports", ",".join(traffic.ports).replace("-", ":")) if traffic.ports else ()
            yield (*interface, *to, *kind, *ports)


def iptables_ssh(traffic: Traffic, direction: str, family: str) -> Iterator[Argv]:
    """The rule that lets our own connection pass."""
    if traffic.ssh and (":" in traffic.ssh.address) == (family == "6"):
        side, end = ("-d", "--sport") if direction == "out" else ("-s", "--dport")
        yield (side, traffic.ssh.address, "-p", "tcp", end, traffic.ssh.port, "-j", "RETURN")
