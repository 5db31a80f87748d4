"""Checks this machine: what is missing, and the command that fixes it. Only `install` changes anything.

Each check gives a Finding: `here` is True, False, or None (missing but optional). Exit code 0 when everything for a run in the
embedded lab is present, else 3.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from stormdesk.cli.options import Options
from stormdesk.cli.show import Show
from stormdesk.core.errors import ExitCode, StormdeskError, UsageError
from stormdesk.infra import existing, home, pulumi_cli
from stormdesk.infra.backends.lab import cgroup, control, layer, volume

LIBRARIES = ("invoke", "paramiko", "pytest-testinfra")
NEEDED_MIB = 1024
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Finding:
    """The result of one check; `fix` is the command to type when it is missing."""

    what: str
    here: bool | None
    text: str
    fix: str = ""


def examine(host: str, options: Options) -> int:
    """Check this machine, and one host if `host` is given. Returns the exit code."""
    show, found = options.show, []
    for finding in _all(host, options):
        found.append(finding)
        show.phase(finding.what, finding.text + (f"   fix: {finding.fix}" if finding.fix else ""), ok=finding.here)
    missing = [finding for finding in found if finding.here is False]
    code = ExitCode.REFUSED if missing else ExitCode.HELD
    if missing:
        show.say(f"{len(missing)} missing. First: {missing[0].fix or missing[0].text}")
    elif not host:
        show.say("All that the embedded lab needs is here.   invoke demo")
    show.result({"exit_code": int(code), "findings": [vars(finding) for finding in found]})
    return int(code)


def install(what: str, plan: bool, show: Show) -> int:
    """Install `what` (pulumi) if it is missing, or with `plan` say what that would do. Returns the exit code."""
    if what != "pulumi":
        raise UsageError(f"--install takes pulumi, not {what}. Type: {pulumi_cli.INSTALL}")
    there = pulumi_cli.find()
    if plan:
        would = f"use {there.path}" if there else f"download it, or build it, into {pulumi_cli.target()}"
        show.say(f"Pulumi engine: would {would}. Nothing was changed.")
    engine = there if plan else pulumi_cli.install(show.say)
    show.result({"exit_code": 0, "engine": {**vars(engine), "path": str(engine.path)} if engine else None})
    return int(ExitCode.HELD)


def _all(host: str, options: Options) -> Iterator[Finding]:
    yield _python()
    yield _system()
    yield _tools()
    yield _services()
    yield _namespaces()
    yield _loops()
    yield _cgroups()
    yield _layer()
    yield _kafka()
    yield _space()
    yield _netem()
    docker = shutil.which("docker")
    yield Finding("docker", True if docker else None, f"{docker or 'absent'} (only for --backend docker)")
    yield _pulumi()
    yield _environments()
    if host:
        yield _host(host, options)


def _python() -> Finding:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return Finding("python", sys.version_info >= (3, 11), f"{platform.python_version()}, {versions}")


def _system() -> Finding:
    if sys.platform != "linux":
        return Finding(
            "system", False, f"{platform.system()}: the embedded lab needs Linux", "use a Linux virtual machine"
        )
    root = os.geteuid() == 0
    who = "root" if root else "not root: the embedded lab needs it"
    return Finding(
        "system", root, f"Linux {platform.release()}, {who}", "" if root else "sudo -E .venv/bin/invoke doctor"
    )


def _tools() -> Finding:
    tools = {**control.TOOLS, "ssh": "openssh-client", "unshare": "util-linux"}
    missing = sorted({package for tool, package in tools.items() if shutil.which(tool) is None})
    if missing:
        return Finding("tools", False, f"missing: {', '.join(missing)}", f"apt-get install {' '.join(missing)}")
    return Finding("tools", True, ", ".join(tools))


def _services() -> Finding:
    missing = control.missing_libraries()
    if missing:
        return Finding("services", False, f"not installed: {', '.join(missing)}", control.INSTALL)
    return Finding("services", True, ", ".join(control.LIBRARIES))


def _namespaces() -> Finding:
    refused = _run("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "true")
    if refused:
        return Finding(
            "spaces", False, f"no namespaces: {refused}", "a virtual machine, or a container with --privileged"
        )
    return Finding("spaces", True, "mount, network, pid, ipc and uts namespaces can be made")


def _loops() -> Finding:
    if volume.loops_available():
        return Finding("disks", True, "loop devices: each host gets an ext4 of its own")
    return Finding("disks", None, "no loop devices: hosts get a tmpfs instead of an ext4")


def _cgroups() -> Finding:
    version = cgroup.version()
    if version == "none":
        return Finding("cgroups", None, "none to be used: faults that exhaust memory or pids are refused on lab hosts")
    return Finding("cgroups", True, f"cgroups {version}: memory and pids of each host are limited")


def _layer() -> Finding:
    try:
        return Finding("layer", True, f"package layer {layer.require()}")
    except (StormdeskError, OSError) as error:
        return Finding("layer", False, str(error).split(". Type")[0], layer.MAKE)


def _kafka() -> Finding:
    try:
        return Finding("kafka", True, f"package layer {layer.require(with_kafka=True)}")
    except (StormdeskError, OSError) as error:
        return Finding("kafka", None, f"{str(error).split('. Type')[0]} (only for --topology full)", layer.MAKE_KAFKA)


def _space() -> Finding:
    place = next(path for path in (home.home(), *home.home().parents) if path.exists())
    free = shutil.disk_usage(place).free >> 20
    text = f"{free} MiB free at {place}"
    return Finding(
        "space", free >= NEEDED_MIB, text, "" if free >= NEEDED_MIB else f"free {NEEDED_MIB} MiB, or set STORMDESK_HOME"
    )


def _netem() -> Finding:
    """Tried in a network namespace that is removed at once."""
    if shutil.which("tc") is None:
        return Finding("netem", None, "no tc: not asked")
    refused = _run("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    return Finding(
        "netem",
        None if refused else True,
        f"not in this kernel ({refused})" if refused else "the kernel can delay and lose packets",
    )


def _pulumi() -> Finding:
    engine = pulumi_cli.find()
    if engine:
        return Finding("pulumi", True, f"{engine.version}: {engine.path} ({engine.source})")
    tried = "; ".join(pulumi_cli.account())
    return Finding("pulumi", None, f"no engine (only for --engine pulumi): {tried}", pulumi_cli.INSTALL)


def _environments() -> Finding:
    there = existing.environments()
    names = ", ".join(f"{item.name} ({item.state})" for item in there) or "none"
    gone = any(item.state == "gone" for item in there)
    return Finding("labs", None if gone else True, names, "invoke env.reap" if gone else "")


def _host(name: str, options: Options) -> Finding:
    """One connection and one command, the way every task does it."""
    from stormdesk.ssh.pool import Pool

    inventory, dialer = options.reach()
    host = inventory.host(name)
    try:
        with Pool(inventory, dialer) as pool:
            began = time.monotonic()
            pool.run(name, ("true",), DEADLINE_S)
            took_ms = 1000 * (time.monotonic() - began)
            marker = pool.run(name, ("cat", "/etc/stormdesk.target"), DEADLINE_S)
    except StormdeskError as error:
        return Finding("ssh", False, f"{host.target}: {error}", "invoke env.status")
    if not marker.ok:
        text = f"{host.target} answers in {took_ms:.0f} ms, but has no /etc/stormdesk.target: it is no target"
        return Finding("ssh", False, text, "write the marker there, if this host is meant to be a target")
    return Finding("ssh", True, f"{host.target} answers in {took_ms:.0f} ms, marker {marker.stdout.strip()}")


def _run(*argv: str) -> str:
    """ "" when it succeeds, else the last line of its output."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=DEADLINE_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return "" if done.returncode == 0 else said[-1]
