"""Containers and networks as `docker` command lines (the arguments after the command). Pure."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence

from stormdesk.infra.backends.docker.plan import LOOPBACK, SSH, Attachment, Container, Data, Segment, Tmpfs, Upload

Argv = Sequence[str]
DEFAULT_MODE = 0o1777  # of a tmpfs mounted without a mode


def network(it: Segment) -> Argv:
    """Create a network."""
    words = ["network", "create", "--driver", "bridge", "--subnet", it.subnet, "--ipv6", "--subnet", it.subnet6]
    return [*words, *(["--internal"] if it.internal else []), *labels(it.labels), it.name]


def volume(it: Data, carries: Mapping[str, str]) -> Argv:
    """Create the volume of a container whose data is not a tmpfs."""
    return ["volume", "create", *labels(carries), "--opt", f"size={it.size_mib}m", it.volume]


def create(it: Container) -> Argv:
    """Create a container on its first network, without starting it."""
    first, *_ = it.networks
    limits = ["--memory", f"{it.memory_mib}m", "--memory-swap", f"{it.memory_mib}m"]  # no swap
    if it.max_processes is not None:
        limits += ["--pids-limit", str(it.max_processes)]
    return [
        *("container", "create", "--name", it.name, "--hostname", it.hostname, "--stop-signal", it.stop_signal),
        *("--network", first.network, *_addresses(first)),
        *(word for alias in first.aliases for word in ("--network-alias", alias)),
        *("--publish", f"{LOOPBACK}:{it.ssh_port}:{SSH}/tcp"),
        *("--cap-drop", "ALL", *(word for name in it.capabilities for word in ("--cap-add", name))),
        *(word for place in it.tmpfs for word in ("--tmpfs", f"{place.path}:{place.options}")),
        *(["--mount", mount(it.data)] if it.data else []),
        *limits,
        *labels(it.labels),
        it.image,
        *it.command,
    ]


def connect(it: Container) -> Sequence[Argv]:
    """Connect a created container to its other networks."""
    return [
        [
            *("network", "connect", *_addresses(place)),
            *(word for alias in place.aliases for word in ("--alias", alias)),
            *(place.network, it.name),
        ]
        for place in it.networks[1:]
    ]


def copy(it: Container) -> Argv:
    """Unpack the archive on standard input into a container; see `archive`."""
    return ["container", "cp", "-", f"{it.name}:/"]


def archive(uploads: Sequence[Upload]) -> bytes:
    """Files as a tar archive: modes kept, all owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            data = upload.text.encode()
            info = tarfile.TarInfo(upload.path.lstrip("/"))
            info.size, info.mode = len(data), upload.mode
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def mount(it: Data) -> str:
    """The value of `--mount` for a data folder."""
    if it.volume:
        return f"type=volume,source={it.volume},destination={it.path}"
    return tmpfs_mount(Tmpfs(path=it.path, size_mib=it.size_mib, mode=0o755))


def tmpfs_mount(it: Tmpfs) -> str:
    """The value of `--mount` for a tmpfs. A swarm drops the sticky bit of an explicit mode; its default is 1777."""
    mode = "" if it.mode == DEFAULT_MODE else f",tmpfs-mode={it.mode:04o}"
    return f"type=tmpfs,destination={it.path},tmpfs-size={it.size_mib << 20}{mode}"


def labels(carries: Mapping[str, str], flag: str = "--label") -> Argv:
    """Label options, which are the same for every kind of object."""
    return [word for key, value in carries.items() for word in (flag, f"{key}={value}")]


def _addresses(place: Attachment) -> Argv:
    return ["--ip", place.address, "--ip6", place.address6]
