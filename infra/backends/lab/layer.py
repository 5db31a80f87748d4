"""The package layer: what hosts need and this machine may lack, installed by apt into an image of its own.

apt runs in a chroot on an overlay of the machine's root, in namespaces of its own; nothing is installed, started or
enabled on the machine. The image lies in /var/cache/stormdesk (STORMDESK_CACHE moves it) under a name made of the
machine's package state and our list, so it is made again when either changes; else it needs no network.

`python -m stormdesk.infra.backends.lab.layer` makes it when it is missing; with the word `kafka` the one that also
has a JRE and Kafka, which only a stack with Kafka needs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from stormdesk.errors import RefusedError
from stormdesk.infra import making
from stormdesk.infra.backends.lab import kafka, kernel, volume
from stormdesk.infra.backends.lab.files import POSTGRES_TEMPLATE
from stormdesk.infra.making import Say

PACKAGES = (
    *(
        "busybox",
        "curl",
        "faketime",
        "iproute2",
        "iptables",
        "iputils-ping",
        "nftables",
        "openssh-server",
        "postgresql",
    ),
    *("procps", "python3", "redis-server", "strace", "stress-ng", "sudo", "supervisor"),
)
RECIPE = "1"  # to be raised when the steps below change what ends up in the image
IMAGE_MIB = 4096
MAVEN = ("HOME", "MAVEN_OPTS", "MAVEN_ARGS", "JAVA_TOOL_OPTIONS")  # where its settings may lie, mirrors among them
DPKG_STATUS = "/var/lib/dpkg/status"

# Runs in the chroot, after apt. Accounts have no passwords; the machine's people have no hashes in a host.
FINISH = f"""
set -eu
userdel trading 2>/dev/null || true
groupadd --force --non-unique --system --gid 800 trading
useradd --non-unique --system --uid 800 --gid 800 --home-dir /var/lib/trading --no-create-home --shell /bin/sh trading
awk -F: 'BEGIN {{ OFS=":" }} {{ $2="*"; print }}' /etc/shadow >/etc/shadow.new
chown root:shadow /etc/shadow.new && chmod 640 /etc/shadow.new && mv /etc/shadow.new /etc/shadow
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
mkdir -p {POSTGRES_TEMPLATE} && chown postgres: {POSTGRES_TEMPLATE} && chmod 700 {POSTGRES_TEMPLATE}
setpriv --reuid postgres --regid postgres --init-groups "$bin/initdb" -D {POSTGRES_TEMPLATE} \\
  --no-sync -A trust -E UTF8 --locale=C.UTF-8 --wal-segsize=4
printf 'create role trading login;\\n\\ncreate database trading owner trading;\\n\\n' |
  setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" --single -j -D {POSTGRES_TEMPLATE} postgres
rm -f /usr/sbin/policy-rc.d
"""


MAKE_KAFKA = f"{sys.executable} -m stormdesk.infra.backends.lab.layer kafka"


def cache() -> Path:
    """Where package layers are kept."""
    return Path(os.environ.get("STORMDESK_CACHE") or "/var/cache/stormdesk")


def path(*, with_kafka: bool = False) -> Path:
    """The image that fits this machine as it is now, whether it exists or not."""
    if not os.path.exists(DPKG_STATUS):
        raise RefusedError(
            "the lab's hosts are made of Debian packages and this machine has no dpkg. Use Debian or Ubuntu"
        )
    state = hashlib.sha256(Path(DPKG_STATUS).read_bytes())
    state.update(f"{RECIPE} {' '.join(PACKAGES)}".encode())
    if with_kafka:
        state.update(f"{' '.join(kafka.PACKAGES)} {kafka.pins()}".encode())
    name = f"layer-{'kafka-' if with_kafka else ''}{state.hexdigest()[:16]}"
    return cache() / f"{name}.{'ext4' if volume.loops_available() else 'tar'}"


def require(*, with_kafka: bool = False) -> Path:
    """The image, or RefusedError that says how to get it."""
    image = path(with_kafka=with_kafka)
    if image.exists():
        return image
    if with_kafka:
        raise RefusedError(f"the lab's package layer with Kafka is missing ({image}). Type: {MAKE_KAFKA}")
    raise RefusedError(
        f"the lab's package layer is missing or the machine's packages changed ({image}). Type: script/demo"
    )


def ensure(say: Say, *, with_kafka: bool = False) -> Path:
    """Make the image if it is missing; takes the network and about half a minute then."""
    cache().mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        image = path(with_kafka=with_kafka)
        if not image.exists():
            _make(image, say)
            for old in set(cache().glob("layer-*")) - {path(), path(with_kafka=True)}:
                old.unlink()
    return image


def mount(image: str, target: str) -> str:
    """Show the layer's files below the empty directory `target`; returns the directory to stack as a lower layer."""
    if image.endswith(".ext4"):
        volume.mount(image, target, "ro,nodev")
    else:
        kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NODEV, "mode=755,size=2g")
        subprocess.run(["tar", "-xf", image, *_TAR, "-C", target], check=True, timeout=120)
    return f"{target}/upper"


_TAR = ("--xattrs", "--xattrs-include=*", "--numeric-owner")


def _make(image: Path, say: Say) -> None:
    log = cache() / "build.log"
    what = f"{len(PACKAGES)} packages by apt" + (", Kafka by Maven" if _is_with_kafka(image) else "")
    say(f"package layer: {what} into {image} (log: {log})")
    command = [sys.executable, "-P", "-m", __spec__.name, "--build", str(image)]
    inside = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private"]
    with log.open("wb") as out:
        done = subprocess.run(
            [*inside, *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False, timeout=1800
        )
    (cache() / "build").rmdir()
    if done.returncode != 0:
        image.with_suffix(".new").unlink(missing_ok=True)
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
        again = MAKE_KAFKA if _is_with_kafka(image) else "script/demo"
        raise RefusedError(f"package layer: {last[0]}   (all of it: {log}). Is there a network? Then type: {again}")
    say(f"package layer: ready, {image.stat().st_blocks >> 11} MiB")


def _build(image: Path) -> None:
    """Make the image. Runs in mount and pid namespaces of its own, so nothing of it outlives this process."""
    work = image.with_suffix(".new")
    spot = cache() / "build"
    spot.mkdir(exist_ok=True)
    kernel.mount("tmpfs", str(spot), "tmpfs", 0, "mode=755,size=4g")
    for name in ("layer", "root"):
        (spot / name).mkdir()
    if image.suffix == ".ext4":
        volume.create(str(work), IMAGE_MIB)
        volume.mount(str(work), f"{spot}/layer", "discard")
    for name in ("upper", "work"):
        (spot / "layer" / name).mkdir()
    _install(str(spot / "root"), str(spot / "layer"), with_kafka=_is_with_kafka(image))
    if image.suffix == ".tar":
        subprocess.run(["tar", "-cf", str(work), *_TAR, "-C", f"{spot}/layer", "upper"], check=True, timeout=300)
    os.sync()
    work.rename(image)


def _is_with_kafka(image: Path) -> bool:
    return image.name.startswith("layer-kafka-")


def _install(root: str, layer: str, *, with_kafka: bool) -> None:
    kernel.mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work")
    kernel.mount("proc", f"{root}/proc", "proc")
    kernel.mount("/dev", f"{root}/dev", flags=kernel.MS_BIND | kernel.MS_REC)
    for name in ("run", "tmp", "var/lib/apt/lists", "var/cache/apt"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
        kernel.mount("tmpfs", f"{root}/{name}", "tmpfs", 0, "mode=1777" if name == "tmp" else "mode=755")
    _no_daemons(root)
    Path(f"{root}/etc/resolv.conf").unlink(missing_ok=True)  # it may be a link into the machine's /run
    shutil.copy("/etc/resolv.conf", f"{root}/etc/resolv.conf")
    environment = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy") or k in MAVEN}
    environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}

    def run(*argv: str, check: bool = True) -> None:
        subprocess.run(["chroot", root, *argv], check=check, env=environment, timeout=1500)

    run("apt-get", "-q", "update", check=False)  # a source that this machine cannot reach is no reason to stop
    options = (
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-unsafe-io",
        "-o",
        "APT::Sandbox::User=root",
    )
    run("apt-get", *options, "install", *PACKAGES, *(kafka.PACKAGES if with_kafka else ()))
    run("sh", "-c", FINISH)
    if with_kafka:
        Path(f"{root}/run/pom.xml").write_text(kafka.pom(kafka.FOLDER))
        run("mvn", "-B", "-ntp", "-f", "/run/pom.xml", "-Dmaven.repo.local=/run/m2", kafka.COPY)
        kafka.verify(Path(f"{root}{kafka.FOLDER}"))


def _no_daemons(root: str) -> None:
    """Installing must start nothing, and PostgreSQL must not make a cluster of its own."""
    with open(f"{root}/usr/sbin/policy-rc.d", "w") as file:
        file.write("#!/bin/sh\nexit 101\n")
        os.fchmod(file.fileno(), 0o755)
    os.makedirs(f"{root}/etc/postgresql-common", exist_ok=True)
    with open(f"{root}/etc/postgresql-common/createcluster.conf", "w") as file:
        file.write("create_main_cluster = false\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        _build(Path(sys.argv[2]))
    else:
        sys.exit(making.run(partial(ensure, with_kafka=sys.argv[1:] == ["kafka"])))
