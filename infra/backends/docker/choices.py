"""What is chosen once for an environment and stored with it: image, subnets, ports, nodes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence

import msgspec

from stormdesk.core.errors import RefusedError
from stormdesk.infra import rewriting
from stormdesk.infra.backends.docker import engine as engines
from stormdesk.infra.backends.docker import image
from stormdesk.infra.backends.docker.engine import Engine
from stormdesk.infra.backends.docker.plan import LOOPBACK, Abilities, Site
from stormdesk.infra.backends.docker.swarm import NODE_LABEL, Node
from stormdesk.infra.keys import KeyPair
from stormdesk.infra.making import Say
from stormdesk.infra.topology import Topology


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """`net` is passed to `rewriting.renumber`; `ports` is each host's SSH port on loopback (in a swarm, on its node)."""

    image: str
    net: int
    ports: Mapping[str, int]
    abilities: Abilities
    nodes: tuple[Node, ...] = ()

    def topology(self, stack: Topology) -> Topology:
        """The stack on the chosen subnets."""
        return rewriting.renumber(stack, self.net)

    def site(
        self,
        *,
        environment: str,
        owner: str,
        expires_at: str,
        authorized_key: str,
        identity_file: str,
        host_keys: Mapping[str, KeyPair],
    ) -> Site:
        """What the hosts share. `authorized_key` is the public half of the login key, `identity_file` the path of the private half."""
        return Site(
            environment=environment,
            owner=owner,
            expires_at=expires_at,
            image=self.image,
            authorized_key=authorized_key,
            identity_file=identity_file,
            host_keys=host_keys,
            ports=self.ports,
            abilities=self.abilities,
        )


def choose(engine: Engine, topology: Topology, say: Say, *, in_swarm: bool = False) -> Choices:
    """Inspect the engine and choose. RefusedError (no image, no free subnets, no swarm) says what to type."""
    built = image.ensure(engine, say)
    return Choices(
        image=built,
        net=engines.free_net(engine),
        ports=free_ports([host.name for host in topology.hosts]),
        abilities=engines.abilities(engine, built),
        nodes=labelled_nodes(engine) if in_swarm else (),
    )


def free_ports(names: Sequence[str]) -> Mapping[str, int]:
    """A free TCP port on loopback for each name. All sockets are open at the same time, so the ports differ."""
    with contextlib.ExitStack() as held:
        sockets = {name: held.enter_context(socket.create_server((LOOPBACK, 0))) for name in names}
        return {name: it.getsockname()[1] for name, it in sockets.items()}


def labelled_nodes(engine: Engine) -> tuple[Node, ...]:
    """The swarm nodes that accept hosts: those with the label. RefusedError when there is none."""
    if not engine.json("info", "--format", "{{json .Swarm.ControlAvailable}}"):
        raise RefusedError("this engine is not a swarm manager. Type: docker swarm init, or use: --backend docker")
    ids = engine.run("node", "ls", "--quiet").split()
    found = [
        Node(label=label, address=it["Status"]["Addr"])
        for it in engine.json("node", "inspect", *ids)
        if (label := it["Spec"]["Labels"].get(NODE_LABEL))
    ]
    if not found:
        raise RefusedError(
            f"no swarm node has the label {NODE_LABEL}. "
            f"Type, for each: docker node update --label-add {NODE_LABEL}=<a name> <node>"
        )
    return tuple(sorted(found, key=lambda node: node.label))
