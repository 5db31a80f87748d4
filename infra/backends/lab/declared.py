"""A lab as resources of a Pulumi program: the lab itself, and each network, volume, host and service of it.

Dynamic resources: Pulumi keeps what was declared, and calls the functions of `parts.py` to make, read, change and remove
it. `drift` is an output of each: what `read` found different from the declaration; as long as it is not empty, the next
`up` brings the part back. Descriptions travel as JSON text, and as secrets, for some hold keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult
from typing_extensions import override

from stormdesk.infra import home
from stormdesk.infra.backends.lab import control, deploy, parts, records
from stormdesk.infra.backends.lab.deploy import Order
from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec, LabSpec, ServiceSpec, VolumeSpec

Props = dict[str, Any]
T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """How parts of one kind are made (or changed), compared and removed; each gets the inputs and the description.

    A change of a `replaced_by` input makes a new part, one of an `updated_by` input changes it. `in_lab`: it goes with its lab.
    """

    spec: type[T]
    put: Callable[[Props, T], None]
    look: Callable[[Props, T], Sequence[str]]
    drop: Callable[[Props, T], None]
    replaced_by: Sequence[str] = ("lab", "host")
    updated_by: Sequence[str] = ("spec",)
    in_lab: bool = True


def _start_lab(props: Props, spec: LabSpec) -> None:
    with records.locked(spec.name, 15.0) as lock:
        control.sweep(spec.name, spec.home, keep_home=True)
        started = msgspec.structs.replace(spec, ttl_s=home.seconds_left(props["expires_at"]))
        deploy.start(started, lock, props["expires_at"], lambda: None)


def _stop_lab(_: Props, spec: LabSpec) -> None:
    with records.locked(spec.name, 15.0):
        control.stop(records.running(spec.name))
        control.sweep(spec.name, spec.home, keep_home=True)


KINDS: Mapping[str, Kind[Any]] = {
    # Which package layer and folders a lab shows was settled when it started: a change of `spec` is none.
    "lab": Kind(
        LabSpec,
        _start_lab,
        lambda props, _: [] if records.running(props["lab"]) else parts.GONE,
        _stop_lab,
        replaced_by=("lab", "expires_at", "home"),
        updated_by=(),
        in_lab=False,
    ),
    "network": Kind(
        BridgeSpec,
        lambda props, spec: parts.put_network(props["lab"], spec),
        lambda props, spec: parts.drift_of_network(props["lab"], spec),
        lambda props, spec: parts.drop_network(props["lab"], spec.name),
    ),
    "volume": Kind(
        VolumeSpec,
        lambda _, spec: parts.put_volume(spec),
        lambda _, spec: parts.drift_of_volume(spec),
        lambda _, spec: parts.drop_volume(spec),
        replaced_by=("lab", "host", "spec"),
        in_lab=False,
    ),
    "host": Kind(
        HostSpec,
        lambda props, spec: parts.put_host(props["lab"], spec),
        lambda props, spec: parts.drift_of_host(props["lab"], spec),
        lambda props, spec: parts.drop_host(props["lab"], spec.name),
    ),
    "service": Kind(
        ServiceSpec,
        lambda props, spec: parts.put_service(props["lab"], props["host"], spec),
        lambda props, spec: parts.drift_of_service(props["lab"], props["host"], spec.name),
        lambda props, spec: parts.drop_service(props["lab"], props["host"], spec.name),
    ),
}


class Part(ResourceProvider):
    """What the engine calls, in a process of its own. Inputs: kind, lab, part, spec (JSON), and for some host."""

    @override
    def create(self, props: Props) -> CreateResult:
        kind, spec = _of(props)
        kind.put(props, spec)
        return CreateResult(f"{props['lab']}/{props['part']}", {**props, "drift": []})

    @override
    def read(self, id_: str, props: Props) -> ReadResult:
        kind, spec = _of(props)
        found = list(kind.look(props, spec))
        return ReadResult("", {}) if found == parts.GONE else ReadResult(id_, {**props, "drift": found})

    @override
    def diff(self, _id: str, old: Props, new: Props) -> DiffResult:
        kind = KINDS[new["kind"]]
        changed = {key for key in (*kind.replaced_by, *kind.updated_by) if old.get(key) != new.get(key)}
        replaced = sorted(changed & set(kind.replaced_by))
        return DiffResult(bool(changed or old.get("drift")), replaced, [], delete_before_replace=True)

    @override
    def update(self, _id: str, _old: Props, new: Props) -> UpdateResult:
        kind, spec = _of(new)
        kind.put(new, spec)
        return UpdateResult({**new, "drift": []})

    @override
    def delete(self, _id: str, props: Props) -> None:
        kind, spec = _of(props)
        if not kind.in_lab or records.running(props["lab"]):
            kind.drop(props, spec)


def _of(props: Props) -> tuple[Kind[Any], Any]:
    kind = KINDS[props["kind"]]
    return kind, msgspec.json.decode(props["spec"], type=kind.spec)


class Declared(Resource, module="stormdesk", name="Part"):
    """One part in a program."""

    drift: pulumi.Output[list[str]]


def declare(order: Order) -> None:
    """Declare a lab with all its parts."""
    spec = deploy.spec_of(order)
    empty = msgspec.structs.replace(spec, bridges=[], hosts=[], ttl_s=0.0)
    lab = _part("lab", order.name, "lab", empty, [], None, expires_at=order.expires_at, home=spec.home)
    networks = {b.name: _part("network", order.name, f"network-{b.name}", b, [lab], lab) for b in spec.bridges}
    last: dict[str, Declared] = {}
    for host in spec.hosts:
        needs = [lab, *(networks[link.bridge] for link in host.links)]
        if host.volume:
            needs.append(_part("volume", order.name, f"volume-{host.name}", host.volume, [lab], lab, host=host.name))
        bare = msgspec.structs.replace(host, services=())
        made = _part("host", order.name, f"host-{host.name}", bare, needs, lab)
        for service in host.services:
            # In the stack's order: of two traders, the first one leads.
            before = [last[service.name]] if service.name in last else []
            name = f"{service.name}-on-{host.name}"
            last[service.name] = _part("service", order.name, name, service, [made, *before], made, host=host.name)


def _part(
    kind: str, lab: str, part: str, spec: msgspec.Struct, needs: list[Declared], goes_with: Declared | None, **more: str
) -> Declared:
    """`goes_with`: the part whose end is this one's as well, so that nobody takes this one away first."""
    text = pulumi.Output.secret(msgspec.json.encode(spec).decode())
    props: Props = {"kind": kind, "lab": lab, "part": part, "spec": text, "drift": None, **more}
    opts = pulumi.ResourceOptions(
        depends_on=needs, deleted_with=goes_with, additional_secret_outputs=["spec"], delete_before_replace=True
    )
    return Declared(Part(), part, props, opts)
