"""An inventory in the formats of other tools: ssh_config, known_hosts, Ansible. Pure; stormdesk/cli/inventories.py reads them back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from stormdesk.cli.inventories import FIELDS
from stormdesk.core.inventory import Inventory, InventoryHost


def ssh_config(inventory: Inventory, known_hosts: str) -> str:
    """For `ssh -F`: strict host keys from the file `known_hosts`, key login only."""
    blocks = [f"# stormdesk environment {inventory.environment}, until {inventory.expires_at or 'it is taken down'}\n"]
    return "\n".join([*blocks, *(_block(host, known_hosts) for host in _usable(inventory))])


def known_hosts(inventory: Inventory) -> str:
    """The host keys, under the names in `ssh_config` and under the addresses."""
    return "".join(f"{h.name},{_bracketed(h)} {h.host_key}\n" for h in _usable(inventory))


def ansible(inventory: Inventory, config: str) -> str:
    """An Ansible inventory (YAML, written as JSON), one group a role; `config` is the ssh_config file."""
    arguments = f"-F {json.dumps(config)}"
    roles: dict[str, dict[str, object]] = {}
    for host in _usable(inventory):
        roles.setdefault(host.role.replace("-", "_"), {})[host.name] = {
            "ansible_host": host.name,
            "ansible_user": host.user,
            "ansible_ssh_common_args": arguments,
            "ansible_python_interpreter": "/usr/bin/python3",
            **{f"stormdesk_{name}": value for name, value in _about(host).items()},
        }
    document = {
        "all": {
            "vars": {"stormdesk_environment": inventory.environment, "stormdesk_expires_at": inventory.expires_at},
            "children": {role: {"hosts": hosts} for role, hosts in roles.items()},
        }
    }
    return json.dumps(document, indent=1) + "\n"


def _usable(inventory: Inventory) -> Sequence[InventoryHost]:
    return [inventory.host(name) for name in sorted(inventory.hosts) if name not in inventory.unusable]


def _block(host: InventoryHost, known: str) -> str:
    options = {
        "HostName": host.address,
        "Port": str(host.port),
        "User": host.user,
        "HostKeyAlias": host.name,
        "UserKnownHostsFile": _path(known),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes" if host.identities_only or host.identity_file else "no",
        "PasswordAuthentication": "no",
        "LogLevel": "ERROR",
        "ServerAliveInterval": "15",  # a session survives a short network cut, but ends some time after its host is gone
        "ServerAliveCountMax": "8",
    }
    if host.identity_agent:
        options["IdentityAgent"] = _path(host.identity_agent)
    if host.proxy_command:
        options |= {"ProxyCommand": host.proxy_command, "ProxyUseFdpass": "yes"}
    about = f"  # stormdesk {json.dumps(_about(host), sort_keys=True)}\n"
    files = [f"  IdentityFile {_path(path)}\n" for path in (host.identity_file, *host.more_identity_files) if path]
    files += [f"  CertificateFile {_path(path)}\n" for path in host.certificate_files]
    return f"Host {host.name}\n{about}" + "".join([*(f"  {key} {value}\n" for key, value in options.items()), *files])


def _about(host: InventoryHost) -> dict[str, object]:
    """What other formats cannot express; empty values are left out."""
    values = {name: msgspec.to_builtins(getattr(host, name)) for name in FIELDS}
    return {name: value for name, value in values.items() if value}


def _path(path: str) -> str:
    """A path for ssh_config: quoted, with `%` doubled."""
    return '"' + path.replace("%", "%%") + '"'


def _bracketed(host: InventoryHost) -> str:
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"
