"""Docker engines for tests: from PATH, else from packages of the tests' own, each in namespaces of its own.

Nothing is installed or started on the machine. An engine has its own network, mounts and processes; its data lies in
memory; all of it ends with one process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stormdesk.core.errors import RefusedError
from stormdesk.infra import making
from stormdesk.infra import packages as debian
from stormdesk.infra.backends.docker import image
from stormdesk.infra.backends.docker.engine import Engine
from stormdesk.infra.backends.lab import layer

NEEDED = ("docker", "dockerd", "containerd", "runc", "iptables", "debootstrap")
PACKAGES = ("docker.io", "debootstrap", "iptables")
MADE_OF = "packages.json"  # beside what was unpacked: the packages that it needs
START_S, DATA_SIZE = 60.0, "8g"

# Not `dpkg -x`, which puts a directory in the place of a link such as lib -> usr/lib.
UNPACK = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"'

# Laid over /usr in the engine's own mount namespace, so that every program finds its files at their usual places.
INSIDE = """
set -eu
root=$1 folder=$2 network=$3
shift 3
[ -z "$root" ] || mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr
mkdir "$folder/data"
mount -t tmpfs -o size=$DATA_SIZE,mode=711 tmpfs "$folder/data"
names=$(readlink -f /etc/resolv.conf)
cp "$names" "$folder/resolv.conf"
mount -t tmpfs tmpfs /run
[ -e "$names" ] || { mkdir -p "${names%/*}"; cp "$folder/resolv.conf" "$names"; }
mkdir /run/bin
for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
  ln -s "$(command -v xtables-nft-multi)" "/run/bin/$name"
done
export PATH=/run/bin:$PATH
[ "$network" = machine ] || ip link set lo up
exec dockerd --data-root "$folder/data" --exec-root /run/docker --pidfile /run/docker.pid \\
  --host "unix://$folder/sock" --storage-driver overlay2 --cgroup-parent "/$GROUP" "$@"
"""


@dataclass(frozen=True)
class Dockerd:
    """A running engine. `pid` is its process 1 as this process sees it."""

    engine: Engine
    pid: int
    folder: Path

    def inside(self, *argv: str) -> Sequence[str]:
        """A command line that runs with the engine's network, mounts and processes."""
        return ("nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", *argv)


@contextlib.contextmanager
def dockerd(folder: Path, *options: str, network: str = "own") -> Iterator[Dockerd]:
    """An engine whose socket is in the empty directory `folder`; `network` is `own`, or `machine`: for builds only."""
    root = packages()
    group = f"dockerd-{os.getpid()}-{folder.name}"  # workers use the same names of folders
    spaces = ["--mount", "--pid", "--ipc", "--uts", *(["--net"] if network == "own" else [])]
    command = ["unshare", *spaces, "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    if network == "machine":  # it must change nothing there
        options = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", *options)
    with open(folder / "log", "wb") as log:
        starter = subprocess.Popen(
            [*command, "sh", "-c", INSIDE, "sh", str(root or ""), str(folder), network, *options],
            env={**os.environ, "DATA_SIZE": DATA_SIZE, "GROUP": group}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    client = str(root / "usr/bin/docker") if root else "docker"
    engine = Engine(command=client, environ={"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{folder}/sock"})
    try:
        yield Dockerd(engine, _wait(starter, engine, folder), folder)
    finally:
        starter.send_signal(signal.SIGKILL)  # and with it, by --kill-child, everything in its namespaces
        starter.wait(10.0)
        _remove_groups(group)


def packages() -> Path | None:
    """Where the engine's packages are unpacked; None: PATH has it all. Takes the network when none fit this machine.

    RefusedError: they cannot be got.
    """
    if all(shutil.which(name) for name in NEEDED):
        return None
    machine = Path(layer.DPKG_STATUS).read_text(errors="replace")
    name = f"engine-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:16]}"
    for made in layer.cache().glob(f"{name}-*/{MADE_OF}"):
        if not debian.changes(msgspec.json.decode(made.read_bytes(), type=debian.Made), machine):
            return made.parent
    work = layer.cache() / f"{name}.{os.getpid()}"
    try:
        document = msgspec.json.encode(debian.made(machine, machine + _unpack(work), PACKAGES))
        (work / "root" / MADE_OF).write_bytes(document)
        root = layer.cache() / f"{name}-{hashlib.sha256(document).hexdigest()[:16]}"
        with contextlib.suppress(OSError):  # another worker was faster
            (work / "root").rename(root)
    except subprocess.CalledProcessError as error:
        said = next((line for line in error.stderr.splitlines() if line.startswith("E: ")), str(error))
        raise RefusedError(f"no Docker engine on PATH, and no packages of one: {said}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return root


def _unpack(work: Path) -> str:
    """Download the packages and what they need and the machine lacks; unpack them, install nothing. What they say of
    themselves, as dpkg's status file would have it."""
    for name in ("archives/partial", "lists/partial", "root/usr/bin", "root/usr/sbin", "root/usr/lib"):
        (work / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib"):
        (work / "root" / name).symlink_to(f"usr/{name}")
    places = {"Dir::Cache::archives": f"{work}/archives", "Dir::State::lists": f"{work}/lists"}
    places |= {"Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "", "APT::Sandbox::User": "root"}
    apt = ["apt-get", "-q", "-y", *(word for key, value in places.items() for word in ("-o", f"{key}={value}"))]
    _quietly(*apt, "update", seconds=300)
    _quietly(*apt, "--no-install-recommends", "--download-only", "install", *PACKAGES, seconds=300)
    said = ""
    for package in (work / "archives").glob("*.deb"):
        _quietly("sh", "-euc", UNPACK, "sh", str(package), str(work / "root"))
        said += f"\n{_quietly('dpkg-deb', '--field', str(package)).rstrip()}\nStatus: install ok installed\n"
    return said


def _quietly(*argv: str, seconds: float = 60) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds).stdout


def dependencies(folder: Path) -> Path:
    """The host image without the project, as `docker save` writes it; made when the cache has none that fits.

    `folder` is for the engine that builds it, which uses the machine's network.
    """
    base = image.BUILT_BASE
    saved = layer.cache() / f"image-{image.key(base)}.tar"
    if not saved.exists():
        with dockerd(folder, network="machine") as it:
            image.bootstrap(it.engine, it.inside("debootstrap"), print)
            image.build(it.engine, base, print, network="host")
            work = saved.with_suffix(f".{os.getpid()}")
            it.engine.run("image", "save", "--output", str(work), image.dependencies(base), seconds=300)
            work.rename(saved)
        making.remove_unused(layer.cache(), "image-*")
    making.in_use(saved)
    return saved


def load(engine: Engine, saved: Path) -> str:
    """Give an engine the host image; its name. No network is needed."""
    engine.run("image", "load", "--input", str(saved), seconds=120)
    return image.build(engine, image.BUILT_BASE, print, network="none")


def _wait(starter: subprocess.Popen[bytes], engine: Engine, folder: Path) -> int:
    """Wait until the engine answers; its pid. RefusedError has its last words when it ends instead."""
    deadline = time.monotonic() + START_S
    while True:
        if starter.poll() is not None or time.monotonic() > deadline:
            said = (folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            raise RefusedError(f"the Docker engine did not start here: {' '.join(said)}")
        done = subprocess.run([engine.command, "version"], env=dict(engine.environ), capture_output=True, check=False)
        if done.returncode == 0:
            return int(Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()[0])
        time.sleep(0.1)


def _remove_groups(name: str) -> None:
    """Remove the engine's cgroups, in every hierarchy; they are empty a moment after its last process."""
    deadline = time.monotonic() + 10
    for group in [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
        while True:
            try:
                for child in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                    child.rmdir()
                group.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
