"""Common to all faults on packets: the parameters that select packets, and the probes for them. Not a fault itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Site
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.packets import Direction, Ports, Protocol, network_of
from stormdesk.core.plan import PeerWitness
from stormdesk.core.safety import check_interface
from stormdesk.core.values import shown
from stormdesk.mechanism.interface import peer_on
from stormdesk.mechanism.traffic import Ssh, Traffic


@dataclass(frozen=True)
class Selecting:
    """Packets by interface, peer, port, protocol and direction. Our own SSH connection is never selected."""

    network: str = field(default="", metadata={"help": "only the host's interface on this network, e.g. market"})
    interface: str = field(default="", metadata={"help": "only this interface, e.g. eth1"})
    peer: str = field(
        default="", metadata={"help": "only traffic with these hosts or addresses, e.g. venue,10.77.1.0/28"}
    )
    port: Ports | None = field(
        default=None,
        metadata={"help": "only traffic with these ports, on either side, e.g. 8443,9000-9010", "kind": Ports},
    )
    protocol: Protocol | None = field(
        default=None, metadata={"help": "only tcp, udp or icmp; with --port, tcp and udp", "kind": Protocol}
    )
    direction: Direction = field(
        default=Direction("both"), metadata={"help": "in, out or both: as the host receives or sends it"}
    )

    def traffic_probes(self) -> Mapping[str, Argv]:
        """The probes that `traffic()` needs."""
        return {"came": ("sd_came_in",), "carriers": ("sd_carriers",), "links": ("ip", "-o", "link", "show")}

    def traffic(
        self, fault: str, facts: HostFacts, site: Site, peers: Sequence[str] = (), protocol: str = ""
    ) -> Traffic:
        """The packets selected on this host. `peers` are hosts in addition to --peer; `protocol` is the default.

        UsageError: the parameters are invalid or select nothing. RefusedError: the host lacks the interface, or our own
        connection would be selected.
        """
        names = [*(part for part in self.peer.replace(" ", "").split(",") if part), *peers]
        if not (self.network or self.interface or names or self.port):
            networks = ", ".join(sorted(site.host.networks)) or "none in the inventory"
            raise UsageError(
                f"{fault} needs --network, --interface, --peer or --port. Networks of {site.host.name}: {networks}"
            )
        if self.port and self.protocol == "icmp":
            raise UsageError("--port and --protocol icmp: icmp has no ports")
        interface = self._chosen(facts, site)
        addresses = tuple(sorted({each for name in names for each in self._addresses(name, interface, site)}))
        ssh = _ssh(facts)
        found = Traffic(
            interface=interface,
            directions=("in", "out") if self.direction == "both" else (str(self.direction),),
            addresses=addresses,
            protocol=self.protocol or protocol,
            ports=self.port.parts if self.port else (),
            ssh=ssh,
        )
        self._check_ssh(ssh, interface, facts, site)
        return found

    def _chosen(self, facts: HostFacts, site: Site) -> str:
        """The interface, or "" for any."""
        if self.network and self.interface:
            raise UsageError("--network and --interface: only one of them")
        if self.network:
            if self.network not in site.host.networks:
                known = ", ".join(sorted(site.host.networks)) or "no network that the inventory names"
                raise UsageError(f"--network {shown(self.network)}: {site.host.name} is on {known}")
            name = site.host.networks[self.network].interface
        else:
            name = check_interface(self.interface) if self.interface else ""
        links = [
            line.partition(": ")[2].partition(": ")[0].partition("@")[0]
            for line in facts.answers["links"].stdout.splitlines()
        ]
        if name and name not in links:
            raise RefusedError(f"--interface {name}: no such interface on {site.host.name}. Nothing was changed")
        return name

    def _addresses(self, peer: str, interface: str, site: Site) -> Sequence[str]:
        """The addresses of --peer, which is an address, a network or a host of the inventory, on the networks that we share with it."""
        if network := network_of(peer):
            return [network]
        if peer not in site.inventory.hosts:
            hosts = ", ".join(sorted(name for name in site.inventory.hosts if name != site.host.name)[:8])
            raise UsageError(f"--peer {shown(peer)}: must be an address, a network or one of the hosts {hosts}")
        if peer == site.host.name:
            raise UsageError(f"--peer {peer}: that is the target itself")
        links = [
            link
            for name, link in sorted(site.inventory.hosts[peer].networks.items())
            if name in site.host.networks and interface in ("", site.host.networks[name].interface)
        ]
        found = [address.partition("/")[0] for link in links for address in (link.address, link.address6) if address]
        if not found:
            raise UsageError(
                f"--peer {peer}: it shares no network with {site.host.name}{f' by {interface}' if interface else ''}"
            )
        return found

    def _check_ssh(self, ssh: Ssh | None, interface: str, facts: HostFacts, site: Site) -> None:
        came, *carriers = facts.answers["carriers"].stdout.splitlines() or [""]
        if not ssh:
            own = next(
                (
                    link.interface
                    for link in site.host.networks.values()
                    if link.address.startswith(f"{site.host.address}/")
                ),
                "",
            )
            if interface and interface == own and came == "":
                raise RefusedError(
                    f"{interface} on {site.host.name} carries our own connection, and the host cannot tell which one it is. "
                    "Nothing was changed"
                )
            return
        if (
            self.port
            and self.port.cover(ssh.port)
            and (not interface or interface in carriers)
            and self.protocol != "udp"
        ):
            raise RefusedError(
                f"--port {self.port} includes port {ssh.port} of our own connection to {site.host.name}. Nothing was changed"
            )


def _ssh(facts: HostFacts) -> Ssh | None:
    """Our own connection, as the host sees it."""
    words = facts.answers["came"].stdout.split()
    if len(words) != 4:
        return None
    address = network_of(words[0].partition("%")[0].removeprefix("::ffff:"))
    return Ssh(address, words[3]) if address and words[3].isdigit() else None


def ping_witness(
    site: Site, traffic: Traffic, argv: Argv, kind: str, expected: float = 0.0
) -> tuple[PeerWitness | None, str]:
    """Another host that pings this one so that the selected packets are measured, or why there is none.

    `argv` is the command up to the address.
    """
    if traffic.ports or traffic.protocol not in ("", "icmp"):
        return None, ""  # ping is neither tcp nor udp, so the host's own counters are the evidence
    for network, link in sorted(site.host.networks.items()):
        if traffic.interface not in ("", link.interface):
            continue
        for name, other in sorted(site.inventory.hosts.items()):
            at = other.networks[network].address.partition("/")[0] if network in other.networks else ""
            if at and name not in (site.host.name, *site.chosen) and (not traffic.addresses or at in traffic.addresses):
                return PeerWitness(name, (*argv, link.address.partition("/")[0]), kind, expected), ""
    _, _, why = peer_on(site, traffic.interface)
    return None, why
