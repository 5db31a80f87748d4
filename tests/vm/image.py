"""The machine's disks: Debian's packages by debootstrap, our files of guest/ on top, file systems made without a mount.

Everything lies in the cache under names made of what it was built from; the packages are kept apart, since they take the longest.
`python -m tests.vm.image --build FOLDER` runs in mount and pid namespaces of its own, so nothing of a build outlives it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from stormdesk.core.errors import RefusedError
from stormdesk.infra import making
from stormdesk.infra.backends.docker.image import SUITE, mirror
from stormdesk.infra.backends.lab import kernel
from stormdesk.infra.making import Say
from tests.vm import qemu, tools, vmlinux
from tests.vm.tools import Tools

HERE = Path(__file__).parent
RECIPE, BOOT = "1", "2"  # to be raised when the steps below, or those after the boot, change what ends up on the disks
PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "libpam-systemd", "systemd-timesyncd", "libnss-myhostname", "network-manager"),
    *("openssh-server", "sudo", "cron", "procps", "kmod", "iproute2", "iptables", "nftables", "iputils-ping"),
    *("netbase", "ca-certificates", "curl", "python3", "supervisor", "e2fsprogs", "initramfs-tools", "zstd"),
    "linux-image-cloud-amd64",  # the full kernel's modules that faults use, without 350 MB of drivers
)
ROOT_SIZE, DATA_SIZE = "2G", "128M"
BUILD_S = 1800.0


def ensure(say: Say) -> Path:
    """The folder with root.img, data.img, vmlinux, initrd.img, id and hostkey.pub; built first where there is none.

    RefusedError, in one line: why it could not be built.
    """
    disks = tools.folder() / f"disks-{_digest(RECIPE, _packages_key(), *_files())}"
    if disks.exists():
        making.in_use(disks)
        return disks
    if os.geteuid() != 0:
        raise RefusedError("the machine's disks are built by debootstrap, which needs root. Type it with sudo once")
    tools.folder().mkdir(parents=True, exist_ok=True)
    with open(tools.folder() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not disks.exists():
            _make(disks, say)
            tools.forget_unused()
    return disks


def booted(disks: Path, programs: Tools, accel: str) -> Path:
    """Where the state of the machine after its boot is kept, by all that QEMU must find the same when it goes on from it."""
    words = qemu.command(programs, disks, Path("vm"), accel, 0)
    return tools.folder() / f"booted-{_digest(BOOT, *words)}"


def _packages_key() -> str:
    return _digest(SUITE, *PACKAGES)


def _files() -> list[str]:
    """What else the disks are made of: our files, by name and content."""
    own = [
        HERE / "guest.sh",
        *sorted(path for path in (HERE / "guest").rglob("*") if path.is_file()),
    ]
    return [f"{path.relative_to(HERE)} {path.read_text()}" for path in own]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _make(disks: Path, say: Say) -> None:
    log = tools.folder() / "build.log"
    say(f"Debian machine: {len(PACKAGES)} packages by debootstrap into {disks} (log: {log})")
    new = disks.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    alone = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private")
    words = ("nice", "-n", "19", *alone, sys.executable, "-P", "-m", __spec__.name, "--build", str(new))
    with log.open("wb") as out:
        done = subprocess.run(
            words, cwd=HERE.parents[1], stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False, timeout=BUILD_S
        )
    if done.returncode != 0:
        shutil.rmtree(new)
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["no output"]
        raise RefusedError(f"Debian machine: {said[-1]}   (all of it: {log}). Is there a network?")
    new.rename(disks)


def _build(new: Path) -> None:
    """Fill the folder. Everything is unpacked on a tmpfs that ends with this process's namespace."""
    spot = new / "build"
    spot.mkdir()
    kernel.mount("tmpfs", str(spot), "tmpfs", 0, "mode=755,size=4g")
    root = spot / "root"
    root.mkdir()
    environ = dict(tools.ensure(print).environ)
    kept = tools.folder() / f"packages-{_packages_key()}.tar"
    if not kept.exists():
        _bootstrap(root, kept, environ)
    else:
        _run("tar", "-xf", str(kept), "--numeric-owner", "-C", str(root))
    making.in_use(kept)
    _configure(root, new)
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(
            (root / name).resolve() if not (root / name).is_symlink() else root / (root / name).readlink(), new / name
        )
    (new / "vmlinux").write_bytes(vmlinux.unpack((new / "vmlinuz").read_bytes()))
    # -d fills a file system without mounting it.
    _disk(new / "root.img", ROOT_SIZE, "-d", str(root), "-E", "lazy_itable_init=1,nodiscard")
    _disk(new / "data.img", DATA_SIZE, "-m", "0", "-E", "lazy_itable_init=1,nodiscard,root_owner=800:800")
    kernel.unmount(str(spot))
    spot.rmdir()


def _bootstrap(root: Path, kept: Path, environ: dict[str, str]) -> None:
    command = tools.ensure(print).command("debootstrap")
    included = f"--include={','.join(PACKAGES)}"
    subprocess.run(
        (command, "--variant=minbase", included, SUITE, root, mirror()), check=True, env=environ, timeout=BUILD_S
    )
    for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / name)
        (root / name / "partial").mkdir(parents=True)
    new = kept.with_suffix(".new")
    _run("tar", "-cf", str(new), "--numeric-owner", "-C", str(root), ".")
    new.rename(kept)


def _configure(root: Path, new: Path) -> None:
    for name in ("id", "hostkey"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "stormdesk-vm", "-f", str(new / name))
    for path in (root / "etc/ssh").glob("ssh_host_*"):
        path.unlink()
    shutil.copytree(HERE / "guest", root, dirs_exist_ok=True, copy_function=shutil.copyfile)
    _run("install", "-m", "600", str(new / "hostkey"), str(root / "etc/ssh/ssh_host_ed25519_key"))
    shutil.copyfile(new / "hostkey.pub", root / "etc/ssh/ssh_host_ed25519_key.pub")
    kernel.mount("proc", f"{root}/proc", "proc")
    kernel.mount("/dev", f"{root}/dev", flags=kernel.MS_BIND | kernel.MS_REC)
    script = (HERE / "guest.sh").read_text()
    _run("chroot", str(root), "sh", "-c", script, "sh", (new / "id.pub").read_text().strip())
    for name in ("dev", "proc"):
        _run("umount", "--lazy", f"{root}/{name}")


def _disk(image: Path, size: str, *options: str) -> None:
    _run("truncate", "-s", size, str(image))
    _run("mkfs.ext4", "-q", "-F", "-L", image.stem, *options, str(image))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=600, env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


if __name__ == "__main__":
    _build(Path(sys.argv[2]))
