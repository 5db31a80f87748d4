"""The Pulumi program's logic with Pulumi's own mocks: the requests to the engine's plugin."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import mocks

from stormdesk.infra import stacks
from stormdesk.infra.backends.docker import declared, declared_swarm, plan, swarm
from stormdesk.infra.backends.docker.plan import Abilities, Site
from stormdesk.infra.keys import KeyPair

CORE = stacks.core(stacks.Credentials(api_key="key", api_secret="secret"))
SITE = Site(
    environment="demo",
    owner="me@here",
    expires_at="2099-01-01T00:00:00Z",
    image="stormdesk-host:1",
    authorized_key="ssh-ed25519 LOGIN",
    identity_file="/home/me/id",
    host_keys={h.name: KeyPair(private=f"PRIVATE {h.name}", public=f"ssh-ed25519 {h.name}") for h in CORE.hosts},
    ports={h.name: 2201 + i for i, h in enumerate(CORE.hosts)},
    abilities=Abilities(cgroup="v2", processes=True, oom=True),
)
NODES = (swarm.Node(label="a", address="192.0.2.1"), swarm.Node(label="b", address="192.0.2.2"))
SECRET = "4dabf18193072939515e22adb298388d"  # the key that marks a special value on Pulumi's wire


class Plugin(mocks.Mocks):
    """Gives back what it is asked for, as the plugin does."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(f"no function is called: {args.token}")


class Monitor(mocks.MockMonitor):
    """Keeps the requests as they are on the wire."""

    def __init__(self) -> None:
        super().__init__(Plugin())
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        self.requests[request.name] = request
        return super().RegisterResource(request)


# Pulumi takes the thread's own loop; a test that ran before in this process may have taken that away.
LOOP = asyncio.new_event_loop()


def run(declare: Callable[[], object]) -> dict[str, Any]:
    """The requests by resource name, after a run of a program."""
    monitor = Monitor()
    asyncio.set_event_loop(LOOP)
    mocks.set_mocks(Plugin(), monitor=monitor)
    pulumi.runtime.test(declare)()
    pulumi.runtime.reset_options()
    return {name: r for name, r in monitor.requests.items() if r.type.startswith("docker:")}


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """Containers and networks."""
    return run(lambda: declared.declare(CORE, SITE))


@pytest.fixture(scope="module")
def swarmed() -> dict[str, Any]:
    """Services, secrets and overlay networks."""
    return run(lambda: declared_swarm.declare(CORE, SITE, NODES))


def inputs(request: Any) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(request.object)
    return found


def test_a_container_is_what_the_pure_function_says(asked: dict[str, Any]) -> None:
    for host in CORE.hosts:
        it = plan.container(CORE, host, SITE)
        got = inputs(asked[it.name])
        assert (got["name"], got["image"], got["hostname"]) == (it.name, it.image, it.hostname)
        assert tuple(got["command"]) == it.command
        assert got["capabilities"] == {"adds": it.capabilities, "drops": ["ALL"]}
        assert got["networkMode"] == "bridge"
        assert [
            (n["name"], n["ipv4Address"], n["ipv6Address"], tuple(n["aliases"])) for n in got["networksAdvanced"]
        ] == [(n.network, n.address, n.address6, n.aliases) for n in it.networks]
        assert got["ports"] == [{"internal": 22, "external": it.ssh_port, "ip": "127.0.0.1", "protocol": "tcp"}]
        assert {label["label"]: label["value"] for label in got["labels"]} == it.labels
        assert (got["memory"], got["memorySwap"], got["tmpfs"]) == (
            it.memory_mib,
            it.memory_mib,
            {t.path: t.options for t in it.tmpfs},
        )
        assert "privileged" not in got
        data = CORE.volume_on(host.name)
        assert data
        options = {"sizeBytes": data.size_mib << 20, "mode": 0o755}
        assert got["mounts"] == [{"target": data.path, "type": "tmpfs", "tmpfsOptions": options}]


def test_names_and_ports_are_free_before_a_replacement_is_made(asked: dict[str, Any]) -> None:
    assert len(asked) == len(CORE.hosts) + len(CORE.networks)
    assert all(request.deleteBeforeReplace for request in asked.values())


def test_keys_are_secrets_on_the_wire(asked: dict[str, Any]) -> None:
    for host in CORE.hosts:
        (upload,) = inputs(asked[f"stormdesk-demo-{host.name}"])["uploads"]
        assert SECRET in upload["content"]
        assert "PRIVATE" in upload["content"]["value"]
        assert upload["permissions"] == "0600"
    for name, request in asked.items():
        got = inputs(request)
        got.pop("uploads", None)
        assert "PRIVATE" not in str(got), name


def test_networks_are_those_of_the_topology(asked: dict[str, Any]) -> None:
    for it in plan.segments(CORE, SITE):
        got = inputs(asked[it.name])
        assert (got["name"], got["internal"], got["driver"], got["ipv6"]) == (it.name, it.internal, "bridge", True)
        assert [config["subnet"] for config in got["ipamConfigs"]] == [it.subnet, it.subnet6]
        assert {label["label"]: label["value"] for label in got["labels"]} == it.labels


def test_a_host_waits_for_its_networks(asked: dict[str, Any]) -> None:
    mgmt = "stormdesk-demo-0-mgmt"
    needed = asked["stormdesk-demo-venue"].propertyDependencies["networksAdvanced"].urns
    assert any(urn.endswith(mgmt) for urn in needed)


def test_limits_that_the_plugin_cannot_set_are_not_claimed(asked: dict[str, Any]) -> None:
    (upload,) = inputs(asked["stormdesk-demo-store"])["uploads"]
    assert '\\"max_processes\\": null' in upload["content"]["value"]


def test_a_service_is_what_the_pure_function_says(swarmed: dict[str, Any]) -> None:
    site = dataclasses.replace(SITE, abilities=dataclasses.replace(SITE.abilities, processes=False))
    for host in CORE.hosts:
        it = swarm.service(CORE, host, site, NODES)
        got = inputs(swarmed[it.container.name])
        task, spec = got["taskSpec"], got["taskSpec"]["containerSpec"]
        assert (got["name"], got["mode"]) == (it.container.name, {"replicated": {"replicas": 1}})
        assert (spec["image"], tuple(spec["args"]), spec["hostname"]) == (
            it.container.image,
            it.container.command,
            host.name,
        )
        assert (spec["capAdds"], spec["capDrops"]) == (it.container.capabilities, ["ALL"])
        assert {m["target"]: m["tmpfsOptions"]["sizeBytes"] >> 20 for m in whole(spec["mounts"])} == {
            **{t.path: t.size_mib for t in it.container.tmpfs},
            "/var/lib/trading": it.container.data.size_mib if it.container.data else 0,
        }
        assert task["placement"]["constraints"] == [f"node.labels.stormdesk.node=={it.node.label}"]
        assert [(n["id"], tuple(n["aliases"])) for n in task["networksAdvanceds"]] == [
            (f"{n.network}-id", n.aliases) for n in it.container.networks
        ]
        assert got["endpointSpec"]["mode"] == "dnsrr"
        assert got["endpointSpec"]["ports"] == [
            {"targetPort": 22, "publishedPort": it.container.ssh_port, "publishMode": "host", "protocol": "tcp"}
        ]
        (secret,) = spec["secrets"]
        assert (secret["secretName"], secret["fileName"], secret["fileMode"]) == (
            it.secret.name, "/etc/stormdesk/host.json", 0o400,
        )  # fmt: skip
        kept = inputs(swarmed[f"{it.container.name}-secret"])
        assert SECRET in kept["data"]
        assert base64.b64decode(kept["data"]["value"]).decode() == it.secret.upload.text


def test_overlay_networks_are_those_of_the_topology(swarmed: dict[str, Any]) -> None:
    assert len(swarmed) == 2 * len(CORE.hosts) + len(CORE.networks)
    for it in plan.segments(CORE, SITE):
        got = inputs(swarmed[it.name])
        assert (got["driver"], got["attachable"], got["internal"]) == ("overlay", True, it.internal)
        gateway = it.subnet.replace(".0/24", ".1")
        assert got["ipamConfigs"] == [{"subnet": it.subnet, "gateway": gateway}]


def whole(value: Any) -> Any:
    """Numbers on the wire are floats; sizes are whole."""
    match value:
        case float():
            return int(value)
        case list():
            return [whole(item) for item in value]
        case dict():
            return {key: whole(item) for key, item in value.items()}
        case _:
            return value
