"""The package layer: what hosts need and this machine may lack, installed by apt into a separate image.

apt runs in a chroot on an overlay of the machine's root, in its own namespaces; nothing is installed, started or enabled
on the machine. The image is in /var/cache/stormdesk (override: STORMDESK_CACHE), named by a hash of what we ask for;
next to it is a list of the packages that it depends on, with their versions here and in the image (infra/packages.py). It
is valid as long as those are unchanged, whatever else is installed, upgraded or removed; otherwise it is rebuilt, which
needs the network. Running labs keep the image that they were started with; it is removed with the last of them.

`python -m stormdesk.infra.backends.lab.layer` builds it if there is no valid one, as `env.up` does; with the argument
`kafka`, the variant with a JRE and Kafka, which only a stack with Kafka needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec

from stormdesk.core.errors import RefusedError
from stormdesk.infra import making, packages
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
SYSTEMD = ("dbus", "libpam-systemd", "systemd-sysv")  # containers do not need them
RECIPE = "2"  # raise it when a change of the steps below changes the image
IMAGE_MIB, BUILD_S = 4096, 1800.0
MAVEN = ("HOME", "MAVEN_OPTS", "MAVEN_ARGS", "JAVA_TOOL_OPTIONS")  # where its settings, such as mirrors, may come from
DPKG_STATUS = "/var/lib/dpkg/status"

# Runs in the chroot, after apt. No account has a password: the machine's password hashes must not reach a host.
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

# Runs before that: an operator's account, which can log in on systemd hosts only.
PEOPLE = """
set -eu
userdel ops 2>/dev/null || true
groupadd --force --non-unique --gid 1800 ops
useradd --non-unique --uid 1800 --gid 1800 --no-create-home --shell /bin/sh ops
"""


MAKE = f"{sys.executable} -m stormdesk.infra.backends.lab.layer"
MAKE_KAFKA = f"{MAKE} kafka"


def cache() -> Path:
    """The folder for package layers."""
    return Path(os.environ.get("STORMDESK_CACHE") or "/var/cache/stormdesk")


def path(*, with_kafka: bool = False) -> Path:
    """The path of the image that we want, whether or not it exists and is valid."""
    asked = hashlib.sha256(f"{RECIPE} {' '.join((*PACKAGES, *SYSTEMD))} {PEOPLE}{FINISH}".encode())
    if with_kafka:
        asked.update(f"{' '.join((*kafka.PACKAGES, *kafka.TOOLS))} {kafka.pins()}".encode())
    name = f"layer-{'kafka-' if with_kafka else ''}{asked.hexdigest()[:16]}"
    return cache() / f"{name}.{'ext4' if volume.loops_available() else 'tar'}"


def require(*, with_kafka: bool = False) -> Path:
    """The path of the image. RefusedError says why there is no valid one and how to build it."""
    image = path(with_kafka=with_kafka)
    if why := _why_invalid(image):
        what = "package layer with Kafka" if with_kafka else "package layer"
        raise RefusedError(f"the lab's {what} {why} ({image}). Type: {MAKE_KAFKA if with_kafka else MAKE}")
    return image


def ensure(say: Say, *, with_kafka: bool = False) -> Path:
    """The path of the image. If there is no valid one it is built, and `say` told so: half a minute, with the network.

    RefusedError, in one line: it could not be built.
    """
    image = path(with_kafka=with_kafka)
    try:
        if _why_invalid(image):
            cache().mkdir(mode=0o755, parents=True, exist_ok=True)
            with open(cache() / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if why := _why_invalid(image):
                    _make(image, why, say)
                    making.remove_unused(cache(), "layer-*")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"package layer: {error}. Set STORMDESK_CACHE to a folder with 1 GiB free") from error
    making.in_use(image, _package_list(image))
    return image


def _why_invalid(image: Path) -> str:
    """ "" if the image exists and is valid on this machine, else what is wrong with it."""
    machine, beside = _status(), _package_list(image)
    if not (image.exists() and beside.exists()):
        return "is missing"
    changed = packages.changes(msgspec.json.decode(beside.read_bytes(), type=packages.Made), machine)
    return f"must be rebuilt: {packages.told(changed)}" if changed else ""


def _package_list(image: Path) -> Path:
    """The file next to an image that lists the packages it depends on."""
    return image.with_name(f"{image.name}.json")


def _status(root: str = "") -> str:
    try:
        return Path(f"{root}{DPKG_STATUS}").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise RefusedError(
            "the lab's hosts are built from Debian packages and this machine has no dpkg. Use Debian or Ubuntu"
        ) from error


def mount(image: str, target: str) -> str:
    """Mount the layer at the empty directory `target`; returns the directory to use as an overlay's lower layer."""
    if image.endswith(".ext4"):
        volume.mount(image, target, "ro,nodev")
    else:
        kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NODEV, "mode=755,size=2g")
        subprocess.run(["tar", "-xf", image, *_TAR, "-C", target], check=True, timeout=120)
    return f"{target}/upper"


_TAR = ("--xattrs", "--xattrs-include=*", "--numeric-owner")


def _make(image: Path, why: str, say: Say) -> None:
    log = cache() / "build.log"
    what = f"{len((*PACKAGES, *SYSTEMD))} packages by apt" + (", Kafka by Maven" if _is_with_kafka(image) else "")
    say(f"package layer {why}: {what} into {image} (log: {log})")
    command = [sys.executable, "-P", "-m", __spec__.name, "--build", str(image)]
    inside = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private"]
    with log.open("wb") as out:
        done = subprocess.run(
            [*inside, *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False, timeout=BUILD_S
        )
    with contextlib.suppress(FileNotFoundError):
        (cache() / "build").rmdir()
    if done.returncode != 0:
        image.with_suffix(".new").unlink(missing_ok=True)
        again = MAKE_KAFKA if _is_with_kafka(image) else MAKE
        said = _cause(log.read_text(errors="replace"))
        raise RefusedError(f"package layer {why}: {said}   (all of it: {log}). Is there a network? Then type: {again}")
    say(f"package layer: ready, {image.stat().st_blocks >> 11} MiB")


def _cause(text: str) -> str:
    """Why a build failed: apt's first error, else the last line of output."""
    lines = text.strip().splitlines() or ["no output"]
    return next((line for line in lines if line.startswith("E: ")), lines[-1])


def _build(image: Path) -> None:
    """Build the image. Runs in its own mount and pid namespaces, so nothing outlives this process."""
    work = image.with_suffix(".new")
    build = cache() / "build"
    build.mkdir(exist_ok=True)
    kernel.mount("tmpfs", str(build), "tmpfs", 0, "mode=755,size=4g")
    for name in ("layer", "root"):
        (build / name).mkdir()
    if image.suffix == ".ext4":
        volume.create(str(work), IMAGE_MIB)
        volume.mount(str(work), f"{build}/layer", "discard")
    for name in ("upper", "work"):
        (build / "layer" / name).mkdir()
    machine = _status()  # changes from now on are detected the next time
    root, with_kafka = str(build / "root"), _is_with_kafka(image)
    _install(root, str(build / "layer"), with_kafka=with_kafka)
    made = packages.made(machine, _status(root), (*PACKAGES, *SYSTEMD, *(kafka.PACKAGES if with_kafka else ())))
    kernel.unmount(root)
    # Hosts use the machine's ld.so.cache; the layer's libraries are in the default folders and need none.
    (build / "layer/upper/etc/ld.so.cache").unlink(missing_ok=True)
    if image.suffix == ".tar":
        subprocess.run(["tar", "-cf", str(work), *_TAR, "-C", f"{build}/layer", "upper"], check=True, timeout=300)
    os.sync()
    beside = _package_list(image)
    beside.unlink(missing_ok=True)  # it must never be next to an image that it does not describe
    work.rename(image)
    (new := beside.with_suffix(".new")).write_bytes(msgspec.json.encode(made))
    new.rename(beside)


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

    run("apt-get", "-q", "update", check=False)  # an unreachable source is not fatal
    options = (
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-unsafe-io",
        "-o",
        "APT::Sandbox::User=root",
    )
    run("apt-get", *options, "install", *PACKAGES, *SYSTEMD, *((*kafka.PACKAGES, *kafka.TOOLS) if with_kafka else ()))
    run("sh", "-c", PEOPLE)
    run("sh", "-c", FINISH)
    if with_kafka:
        Path(f"{root}/run/pom.xml").write_text(kafka.pom(kafka.FOLDER))
        run("mvn", "-B", "-ntp", "-f", "/run/pom.xml", "-Dmaven.repo.local=/run/m2", kafka.COPY)
        kafka.verify(Path(f"{root}{kafka.FOLDER}"))


def _no_daemons(root: str) -> None:
    """The installation must start no daemon, and PostgreSQL must not create its default cluster."""
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
