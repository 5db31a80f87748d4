"""A lab as Pulumi resources: the lab itself, and each of its networks, volumes, hosts and services.

Dynamic resources: Pulumi stores what was declared, and calls the functions of `parts.py` to create, read, update and
delete it. Each has an output `drift`, the differences that `read` found; while it is not empty, the next `up` repairs the
part. Any `up` recreates a part that is missing, since a lab ends by itself. Specs are passed as JSON text, and as secrets,
because some contain keys.

The environment's folder belongs to the lab: it is written when the lab starts, and removed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult
from typing_extensions import override

from stormdesk.core.errors import RefusedError
from stormdesk.infra import home
from stormdesk.infra.backends.lab import control, deploy, parts, records
from stormdesk.infra.backends.lab.deploy import Order
from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec, LabSpec, ServiceSpec, VolumeSpec

Props = dict[str, Any]
T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """How parts of one kind are created or updated, compared and deleted; each function gets the inputs and the spec.

    A changed `replaced_by` input replaces the part, a changed `updated_by` input updates it. `in_lab`: it is removed with
    its lab. `there` is a cheap existence check; `new` creates a part that the stack does not know yet, if not `put`.
    """

    spec: type[T]
    put: Callable[[Props, T], None]
    there: Callable[[Props, T], bool]
    look: Callable[[Props, T], Sequence[str]]
    drop: Callable[[Props, T], None]
    new: Callable[[Props, T], None] | None = None
    replaced_by: Sequence[str] = ("lab", "host")
    updated_by: Sequence[str] = ("spec",)
    in_lab: bool = True


def _new_lab(props: Props, spec: LabSpec) -> None:
    """Start a lab that is new to the stack. A running one is adopted only if a killed `pulumi up` of this stack left it."""
    with records.locked(spec.name, 15.0) as lock:
        killed = _engine(props) == home.CLI and not Path(spec.home, "inventory.json").exists()
        if records.running(spec.name) and not (killed and _ours(props, spec)):
            raise RefusedError(
                f"environment {spec.name} is already up, and does not belong to this stack. "
                f"Type: invoke env.down --env {spec.name}, or give this stack another name"
            )
        _settle_lab(props, spec, lock)


def _put_lab(props: Props, spec: LabSpec) -> None:
    with records.locked(spec.name, 15.0) as lock:
        _settle_lab(props, spec, lock)


def _settle_lab(props: Props, spec: LabSpec, lock: int) -> None:
    """Start a lab, or change the expiry of the running one; then write the environment's folder."""
    seconds = home.seconds_left(props["expires_at"])
    kept = msgspec.json.decode(props["kept"], type=home.Kept)
    if records.running(spec.name):
        control.ask(spec.name, {"do": "live", "seconds": seconds})
        deploy.note_expiry(spec.name, props["expires_at"])
        home.keep(Path(spec.home), kept)
        return
    control.sweep(spec.name, spec.home, keep_home=True)
    try:
        home.keep(Path(spec.home), kept)
        deploy.start(msgspec.structs.replace(spec, ttl_s=seconds), lock, props["expires_at"], lambda: None)
    except BaseException:
        home.clear(Path(spec.home))
        raise


def _stop_lab(props: Props, spec: LabSpec) -> None:
    with records.locked(spec.name, 15.0):
        if _ours(props, spec):
            control.stop(records.running(spec.name))
            control.sweep(spec.name, spec.home, keep_home=True)
            home.clear(Path(spec.home))


def _ours(props: Props, spec: LabSpec) -> bool:
    """Does the lab with this name belong to this stack? The stack's own may have expired and the name been reused."""
    known = records.read(spec.name)
    if known is not None and known.home != spec.home and records.running(spec.name):
        return False
    return _engine_of(spec) in ("", _engine(props))


def _engine(props: Props) -> str:
    """The engine that the declaration names."""
    return msgspec.json.decode(props["kept"], type=home.Kept).record.engine if props.get("kept") else "pulumi"


def _engine_of(spec: LabSpec) -> str:
    """The engine recorded in the environment's folder; "" without a folder."""
    record = home.record_in(Path(spec.home))
    return record.engine if record else ""


KINDS: Mapping[str, Kind[Any]] = {
    # A lab's package layer and binds are fixed when it starts, so a change of `spec` does not count as one.
    "lab": Kind(
        LabSpec,
        _put_lab,
        lambda props, spec: bool(records.running(props["lab"])) and _ours(props, spec),
        lambda props, spec: [] if records.running(props["lab"]) and _ours(props, spec) else parts.GONE,
        _stop_lab,
        _new_lab,
        replaced_by=("lab", "home"),
        updated_by=("expires_at", "kept"),
        in_lab=False,
    ),
    "network": Kind(
        BridgeSpec,
        lambda props, spec: parts.put_network(props["lab"], spec),
        lambda props, spec: parts.has_network(props["lab"], spec.name),
        lambda props, spec: parts.drift_of_network(props["lab"], spec),
        lambda props, spec: parts.drop_network(props["lab"], spec.name),
    ),
    "volume": Kind(
        VolumeSpec,
        lambda _, spec: parts.put_volume(spec),
        lambda _, spec: parts.drift_of_volume(spec) != parts.GONE,
        lambda _, spec: parts.drift_of_volume(spec),
        lambda _, spec: parts.drop_volume(spec),
        replaced_by=("lab", "host", "spec"),
        in_lab=False,
    ),
    "host": Kind(
        HostSpec,
        lambda props, spec: parts.put_host(props["lab"], spec),
        lambda props, spec: parts.has_host(props["lab"], spec.name),
        lambda props, spec: parts.drift_of_host(props["lab"], spec),
        lambda props, spec: parts.drop_host(props["lab"], spec.name),
    ),
    "service": Kind(
        ServiceSpec,
        lambda props, spec: parts.put_service(props["lab"], props["host"], spec),
        lambda props, spec: parts.has_service(props["lab"], props["host"], spec.name),
        lambda props, spec: parts.drift_of_service(props["lab"], props["host"], spec.name),
        lambda props, spec: parts.drop_service(props["lab"], props["host"], spec.name),
    ),
}


class Part(ResourceProvider):
    """The provider that the engine calls, in a separate process. Inputs: kind, lab, part, spec (JSON); host for a part on a
    host; for the lab itself home, expires_at and kept (JSON: the source of the environment's folder)."""

    @override
    def create(self, props: Props) -> CreateResult:
        kind, spec = _of(props)
        (kind.new or kind.put)(props, spec)
        return CreateResult(f"{props['lab']}/{props['part']}", {**props, "drift": []})

    @override
    def read(self, id_: str, props: Props) -> ReadResult:
        kind, spec = _of(props)
        found = list(kind.look(props, spec))
        # A lab that is gone stays in the state: otherwise a destroy would not remove its folder.
        gone = found == parts.GONE and kind.spec is not LabSpec
        return ReadResult("", {}) if gone else ReadResult(id_, {**props, "drift": found})

    @override
    def diff(self, _id: str, old: Props, new: Props) -> DiffResult:
        kind, spec = _of(new)
        changed = {key for key in (*kind.replaced_by, *kind.updated_by) if old.get(key) != new.get(key)}
        replaced = sorted(changed & set(kind.replaced_by))
        differs = bool(changed or old.get("drift")) or not kind.there(new, spec)
        return DiffResult(differs, replaced, [], delete_before_replace=True)

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
    """One part as a resource in a program."""

    drift: pulumi.Output[list[str]]


def declare(order: Order, kept: home.Kept) -> Sequence[Declared]:
    """Declare a lab with all its parts; returns them. The environment's folder is written from `kept`."""
    spec = deploy.spec_of(order)
    empty = msgspec.structs.replace(spec, bridges=[], hosts=[], ttl_s=0.0)
    folder = pulumi.Output.secret(msgspec.json.encode(kept).decode())
    lab = _part("lab", order.name, "lab", empty, [], None, expires_at=order.expires_at, home=spec.home, kept=folder)
    networks = {b.name: _part("network", order.name, f"network-{b.name}", b, [lab], lab) for b in spec.bridges}
    last: dict[str, Declared] = {}
    made = [lab, *networks.values()]
    for host in spec.hosts:
        needs = [lab, *(networks[link.bridge] for link in host.links)]
        if host.volume:
            needs.append(_part("volume", order.name, f"volume-{host.name}", host.volume, [lab], lab, host=host.name))
            made.append(needs[-1])
        bare = msgspec.structs.replace(host, services=())
        on = _part("host", order.name, f"host-{host.name}", bare, needs, lab)
        made.append(on)
        for service in host.services:
            # In the stack's order: the first trader becomes the leader.
            before = [last[service.name]] if service.name in last else []
            name = f"{service.name}-on-{host.name}"
            last[service.name] = _part("service", order.name, name, service, [on, *before], on, host=host.name)
            made.append(last[service.name])
    return made


def _part(
    kind: str,
    lab: str,
    part: str,
    spec: msgspec.Struct,
    needs: list[Declared],
    goes_with: Declared | None,
    **more: pulumi.Input[str],
) -> Declared:
    """`goes_with`: the part whose removal removes this one too, so that this one is not deleted separately first."""
    text = pulumi.Output.secret(msgspec.json.encode(spec).decode())
    props: Props = {"kind": kind, "lab": lab, "part": part, "spec": text, "drift": None, **more}
    opts = pulumi.ResourceOptions(
        depends_on=needs, deleted_with=goes_with, additional_secret_outputs=["spec", "kept"], delete_before_replace=True
    )
    return Declared(Part(), part, props, opts)
