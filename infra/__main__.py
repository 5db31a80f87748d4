"""The Pulumi program that `pulumi up` runs (Pulumi.yaml): the stack's name is the environment's."""

from __future__ import annotations

import pulumi

from stormdesk.infra import home, program
from stormdesk.infra.home import Record
from stormdesk.values import Lifetime


def main() -> None:
    """Declare the environment. One that lives keeps its expiry, so that a second `up` finds nothing to change."""
    config = pulumi.Config("stormdesk")
    name = pulumi.get_stack()
    ttl_s = float(Lifetime(config.get("ttl") or "2h"))
    old = home.read_record(name)
    alive = old is not None and home.seconds_left(old.expires_at) > 0
    record = Record(
        name=name,
        owner=home.owner(),
        backend=config.get("backend") or "lab",
        engine="pulumi",
        topology=config.get("topology") or "core",
        ttl_s=ttl_s,
        expires_at=old.expires_at if old is not None and alive else home.expiry(ttl_s),
    )
    home.make(name)
    home.write_record(record)
    topology, material = program.of(record)
    program.identity(record, material)
    program.run(record, topology, material)


main()
