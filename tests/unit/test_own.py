"""The documented stack output: built from plain values and from Pulumi outputs; wrong values are reported at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pulumi
import pytest

from stormdesk import own
from stormdesk.core import inventory as documents
from stormdesk.core.errors import UsageError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def one(**changes: Any) -> own.Document:
    values = {"name": "match-1", "address": "192.0.2.1", "host_key": KEY, "identity_file": "/k", "role": "matching"}
    return own.host(**{**values, **changes})


def test_what_it_builds_is_an_inventory() -> None:
    built = own.inventory(
        environment="desk",
        hosts=[
            one(port=2222, services={"engine": {"user": "app", "manager": "systemd", "ports": {"http": 8000}}}),
            one(
                name="risk-1", networks={"lan": {"interface": "eth0", "address": "192.0.2.2/24"}}, paths={"data": "/d"}
            ),
        ],
    )
    read = documents.parse(json.dumps(built), "x")
    assert read.host("match-1").target == "root@192.0.2.1:2222"
    assert read.host("match-1").services["engine"].ports == {"http": 8000}
    assert read.host("risk-1").networks["lan"].interface == "eth0"
    assert documents.parse(documents.render(read), "y") == read


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        ([one(), one()], "'match-1' is there twice"),
        ([one(host_key="x")], "host_key x: must be"),
        ([one(services={"engine": {"port": 1}})], "services"),
        ([one(address=None)], "address"),
        ([one(name="a b")], "name a b"),
    ],
)
def test_a_known_wrong_value_is_refused_at_once(hosts: list[own.Document], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        own.inventory(environment="desk", hosts=hosts)
    assert says in str(caught.value)


def test_values_that_pulumi_knows_later_pass_through() -> None:
    async def resolved() -> Any:
        built = own.inventory(
            environment="desk", hosts=[one(address=pulumi.Output.from_input("192.0.2.7")), one(name="risk-1")]
        )
        return await pulumi.Output.from_input(built).future()

    read = documents.parse(json.dumps(asyncio.run(resolved())), "x")
    assert [host.address for host in read.hosts.values()] == ["192.0.2.7", "192.0.2.1"]
