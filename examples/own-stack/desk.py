"""The desk as a Pulumi program: two machines that somebody else made, and one output that makes them targets."""

from __future__ import annotations

from typing import Any

import pulumi

from stormdesk import own


class Machine(pulumi.ComponentResource):
    """A machine by its address. Yours may be an aws.ec2.Instance, a docker.Container, a libvirt.Domain: only `entry` counts."""

    def __init__(self, name: str, known: dict[str, Any], role: str) -> None:
        super().__init__("desk:index:Machine", name)
        self.entry = own.host(
            name=name,
            role=role,
            address=known["address"],
            host_key=known["host_key"],
            identity_file=known["identity_file"],
            proxy_command=known.get("proxy_command", ""),
            networks={"orders": {"interface": "eth1", "address": known["orders_address"]}},
            services={"engine": {"user": known["service_user"]}},
            paths={"data": known["data"]},
        )
        self.register_outputs({"address": known["address"]})


def program() -> None:
    config = pulumi.Config()
    machines = config.require_object("machines")
    roles = {"matching-1": "matching", "risk-1": "risk"}
    hosts = [Machine(name, machines[name], role).entry for name, role in roles.items()]
    inventory = own.inventory(environment=config.require("environment"), hosts=hosts)
    pulumi.export(own.OUTPUT, pulumi.Output.secret(inventory))  # a secret or not, as you like
