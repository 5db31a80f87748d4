"""The output that makes any Pulumi stack a target: `pulumi.export("stormdesk_inventory", own.inventory(...))`. Pure.

    from stormdesk import own

    pulumi.export("stormdesk_inventory", own.inventory(environment="desk-7", hosts=[
        own.host(name="match-1", role="matching", address=server.ipv4_address, host_key=key.public_key_openssh,
                 identity_file="/home/ci/.ssh/id_ed25519", paths={"data": "/srv/data"}),
        own.host(name="risk-1", role="risk", address="127.0.0.1", port=container.ports[0].external, ...),
    ]))

A host is whatever runs sshd: a virtual machine by its address, a container by the port that it publishes, a machine that
nobody provisions by the address that you know. Values may be Pulumi outputs: what is known later is checked when the
inventory is read, all else at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from stormdesk.core import inventory as documents
from stormdesk.core.errors import UsageError
from stormdesk.core.values import shown

OUTPUT = "stormdesk_inventory"  # the name of the stack output that `--inventory pulumi:STACK` reads

Document = dict[str, object]


def host(
    *,
    name: str,
    address: object,
    host_key: object,
    identity_file: object,
    role: str = "host",
    port: object = 22,
    user: object = "root",
    proxy_command: object = "",
    networks: Mapping[str, object] | None = None,
    services: Mapping[str, object] | None = None,
    paths: Mapping[str, object] | None = None,
    shares_kernel: bool = False,
) -> Document:
    """One host of the document, by the names of docs/formats/inventory.md.

    `host_key` is the public key that its sshd shows, as in known_hosts or a .pub file; `identity_file` the path of a
    private key on the machine that runs the faults; `networks` e.g. `{"market": {"interface": "eth1", "address":
    "10.1.0.3/24"}}`, `services` e.g. `{"engine": {"user": "app", "manager": "systemd", "ports": {"http": 8000}}}`,
    `paths` e.g. `{"data": "/srv/data"}`.
    """
    return {
        "name": name,
        "role": role,
        "address": address,
        "port": port,
        "user": user,
        "host_key": host_key,
        "identity_file": identity_file,
        "proxy_command": proxy_command,
        "networks": dict(networks or {}),
        "services": dict(services or {}),
        "paths": dict(paths or {}),
        "shares_kernel": shares_kernel,
    }


def inventory(*, environment: str, hosts: Sequence[Document], expires_at: str = "") -> Document:
    """The inventory document. `environment` is what /etc/stormdesk.target on the hosts says; `expires_at` an RFC 3339 instant.

    Raises UsageError for a host that is named twice, or whose values are known already and wrong.
    """
    named: dict[str, Document] = {}
    for entry in hosts:
        if (name := str(entry["name"])) in named:
            raise UsageError(f"{OUTPUT}: host '{shown(name)}' is there twice")
        named[name] = entry
    document = {"version": documents.VERSION, "environment": environment, "expires_at": expires_at}
    known = {name: entry for name, entry in named.items() if _concrete(entry)}
    found = documents.parse(msgspec.json.encode({**document, "hosts": known}), OUTPUT)
    if found.unusable:
        raise UsageError(next(iter(found.unusable.values())))
    return {**document, "hosts": named}


def _concrete(value: object) -> bool:
    """Are all values concrete (no Pulumi outputs)?"""
    if isinstance(value, Mapping):
        return all(map(_concrete, value.values()))
    return value is None or isinstance(value, str | int | float | bool)
