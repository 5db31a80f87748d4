"""The files of a systemd host: its services' units, networkd's interfaces, log-in rules, masked units. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from stormdesk.infra.backends.lab.network import reaches
from stormdesk.infra.backends.lab.spec import DirectorySpec, FileSpec
from stormdesk.infra.topology import Host, Kind, Placement, Service

ETC = "/etc/systemd/system"
LIB = "/lib/systemd/system"
OPS = "ops"  # an operator's account: logs in with the environment's key, has full sudo
# Units that cannot work in a namespace, or would affect the machine. Most other hardware units skip themselves in a container.
MASKED = """
    systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service
    systemd-udev-settle.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service kmod-static-nodes.service
    systemd-journald-audit.socket systemd-binfmt.service proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount
    systemd-pstore.service systemd-random-seed.service systemd-firstboot.service systemd-networkd-wait-online.service
    console-getty.service container-getty@.service getty@tty1.service getty-static.service getty.target
    systemd-ask-password-console.path systemd-ask-password-wall.path
""".split()  # noqa: SIM905  a list of thirty quoted words is no easier to read
CONFIGURATION = {
    "/etc/systemd/logind.conf.d/lab.conf": "[Login]\nKillUserProcesses=yes\n",
    "/etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=32M\nRuntimeMaxUse=16M\n",
    # A run's watchdogs ignore SIGTERM: at shutdown, their session's scope waits this long.
    "/etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultTimeoutStopSec=3s\n",
    f"/etc/sudoers.d/{OPS}": f"{OPS} ALL=(ALL) NOPASSWD: ALL\n",
}
# Newer than /usr, so that ConditionNeedsUpdate is false at the first boot.
UPDATED = ("/etc/.updated", "/var/.updated")

# A service that exits is restarted a second later, until it has been started five times within ten seconds.
UNIT = """\
[Unit]
Description={name} of the trading stack
After=network.target

[Service]
ExecStart={command}
User={user}
WorkingDirectory=/
UMask=0022
Environment=PATH={path} LANG=C.UTF-8 HOME={data_dir} USER={user} PYTHONDONTWRITEBYTECODE=1
Restart=always
RestartSec=1
KillSignal=SIG{stop}
KillMode=mixed
TimeoutStopSec=5
StandardOutput=append:/var/log/trading/{name}.log
StandardError=inherit

[Install]
WantedBy=multi-user.target
"""


def of_host(host: Host, environment: str, services: Sequence[Service]) -> Sequence[FileSpec]:
    """The files that make a host a systemd host."""
    networkd = [place for place in host.placements if place.networkd]
    units = ["ssh.service", *(["systemd-networkd.service"] if networkd else [])]
    identity = hashlib.sha256(f"{environment}/{host.name}".encode()).hexdigest()[:32]
    return [
        FileSpec(path="/etc/machine-id", text=identity + "\n", mode=0o444),
        FileSpec(path=f"{ETC}/default.target", to=f"{LIB}/multi-user.target"),
        *(FileSpec(path=path, text=text, mode=0o440 if "sudoers" in path else 0o644) for path, text in CONFIGURATION.items()),
        *(FileSpec(path=path) for path in UPDATED),
        *(FileSpec(path=f"{ETC}/{unit}", to="/dev/null") for unit in MASKED),
        *(_enabled(unit, f"{LIB}/{unit}") for unit in units),
        *(_interface(host, place) for place in networkd),
        *_restarters(services),
    ]  # fmt: skip


def directories() -> Sequence[DirectorySpec]:
    """Directories that only systemd hosts have."""
    return [DirectorySpec(path=f"/home/{OPS}", owner=OPS, mode=0o700)]


def unit(service: Service, command: Sequence[str], path: str) -> Sequence[FileSpec]:
    """A service's unit, enabled."""
    file = f"{ETC}/{service.name}.service"
    text = UNIT.format(
        name=service.name,
        command=" ".join(command),
        user=service.user,
        path=path,
        data_dir=service.config["data_dir"],
        stop="INT" if service.kind is Kind.POSTGRES else "TERM",
    )
    return [FileSpec(path=file, text=text), _enabled(f"{service.name}.service", file)]


def _enabled(unit: str, file: str) -> FileSpec:
    return FileSpec(path=f"{ETC}/multi-user.target.wants/{unit}", to=file)


def _interface(host: Host, place: Placement) -> FileSpec:
    """An interface that networkd configures, with the routes that lead out of it."""
    lines = ["[Match]", f"Name={place.interface}", "[Network]", "IPv6AcceptRA=no", "LinkLocalAddressing=no"]
    lines += ["[Address]", f"Address={place.address}"]
    lines += ["[Address]", f"Address={place.address6}", "DuplicateAddressDetection=none"]
    for route in host.routes:
        if reaches(place.address, place.address6, route.via):
            lines += ["[Route]", f"Destination={route.to}", f"Gateway={route.via}"]
    return FileSpec(path=f"/etc/systemd/network/20-{place.interface}.network", text="\n".join(lines) + "\n")


def _restarters(services: Sequence[Service]) -> Sequence[FileSpec]:
    """The sudo rules of a guard: it may restart the service that it monitors. Without one, only root may."""
    rules = [
        f"{it.user} ALL=(root) NOPASSWD: /usr/bin/systemctl {verb} {it.config['service']}.service\n"
        for it in services
        if it.config.get("supervisor") == "systemd"
        for verb in ("reset-failed", "restart")
    ]
    return [FileSpec(path="/etc/sudoers.d/guard", text="".join(rules), mode=0o440)] if rules else []
