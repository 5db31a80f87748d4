"""Matches of tc's u32 filter for packets that are sent. Pure. It looks at fixed places: behind IPv6 extension headers it sees no ports."""

from __future__ import annotations

from collections.abc import Iterator

from stormdesk.mechanism.traffic import Traffic, protocols

_NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1"}
_ICMP6 = "58"


def matches(traffic: Traffic) -> Iterator[str]:
    """`protocol ip u32 match ..`, one for each combination of address, protocol and port; IPv4 first."""
    for family in traffic.families:
        ip = "ip" if family == "4" else "ip6"
        addresses = [f"match {ip} dst {_prefixed(address)}" for address in traffic.of_family(family)]
        for address in addresses or (["match u32 0 0"] if not traffic.addresses else []):
            for protocol in protocols(traffic):
                number = _ICMP6 if protocol == "icmp" and family == "6" else _NUMBERS.get(protocol, "")
                kind = f" match {ip} protocol {number} 0xff" if number else ""
                for port in _ports(traffic, ip):
                    yield f"protocol {'ip' if family == '4' else 'ipv6'} u32 {address}{kind}{port}"


def ssh(traffic: Traffic) -> Iterator[str]:
    """Our own connection."""
    if traffic.ssh:
        family = "6" if ":" in traffic.ssh.address else "4"
        ip, name = ("ip6", "ipv6") if family == "6" else ("ip", "ip")
        port = f"match {ip} protocol 6 0xff match {ip} sport {traffic.ssh.port} 0xffff"
        yield f"protocol {name} u32 match {ip} dst {_prefixed(traffic.ssh.address)} {port}"


def _prefixed(address: str) -> str:
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


def _ports(traffic: Traffic, ip: str) -> Iterator[str]:
    if not traffic.ports:
        yield ""
    for part in traffic.ports:
        low, _, high = part.partition("-")
        for value, mask in _masks(int(low), int(high or low)):
            for end in ("dport", "sport"):
                yield f" match {ip} {end} {value} {mask:#06x}"


def _masks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """A range of ports as (value, mask) pairs: the largest aligned blocks."""
    while low <= high:
        size = low & -low or 1 << 16
        while low + size - 1 > high:
            size //= 2
        yield low, 0x10000 - size
        low += size
