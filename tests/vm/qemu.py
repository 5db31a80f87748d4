"""Command lines of QEMU and where the machine's network cards are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.tools import Tools

MEMORY_MIB, DISK = 512, ("root", "data")
PVM = "kvm_pvm"  # KVM without hardware: it emulates a stock kernel instruction by instruction, slower than TCG


@dataclass(frozen=True)
class Card:
    """A network card. `netdev` is QEMU's other end: its own user network, or a hub that several cards share."""

    name: str
    slot: int
    netdev: str

    @property
    def interface(self) -> str:
        """As udev names it in the guest."""
        return f"enp0s{self.slot}"

    @property
    def mac(self) -> str:
        return f"52:54:00:00:00:{self.slot:02x}"


# The user network has DHCP and router advertisements; `restrict`: nothing of the guest leaves this machine.
# A hub is a cable between cards of one machine: the far end of the market is in a network namespace of the guest.
CARDS = (
    Card("mgmt", 4, "user,id={name},restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
    Card("market", 5, "hubport,id={name},hubid=1"),
    Card("far", 6, "hubport,id={name},hubid=1"),
    Card("office", 7, "user,id={name},restrict=on,net=10.0.3.0/24,ipv6-prefix=fec0:3::"),
    Card("spare", 8, "hubport,id={name},hubid=1"),
)


def card(name: str) -> Card:
    """The card of that name."""
    return next(it for it in CARDS if it.name == name)


def accelerator(asked: str, *, device: bool, modules: frozenset[str]) -> str:
    """`tcg` or `kvm` for --accel. `device`: /dev/kvm can be opened; `modules` are those that are loaded. Raises ValueError."""
    hardware = device and PVM not in modules
    if asked == "auto":
        return "kvm" if hardware else "tcg"
    if asked == "kvm" and not device:
        raise ValueError("--accel kvm: there is no /dev/kvm that can be opened. Use --accel tcg")
    return asked


def command(tools: Tools, disks: Path, vm: Path, accel: str, port: int) -> Sequence[str]:
    """Start a machine whose overlays, monitor, console and pid file are in `vm`; SSH is at `port` of 127.0.0.1."""
    speed = (
        ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max")
        if accel == "tcg"
        else ("-accel", "kvm", "-cpu", "host")
    )
    drives = [f"file={vm}/{name}.qcow2,if=virtio,discard=unmap,cache=unsafe" for name in DISK]
    boot = "root=/dev/vda rw console=ttyS0 quiet loglevel=3 mitigations=off"
    return (
        *(tools.command("qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35"),
        *(word for path in tools.data for word in ("-L", str(path))),
        *(*speed, "-smp", "1", "-m", str(MEMORY_MIB)),
        *("-kernel", f"{disks}/vmlinux", "-initrd", f"{disks}/initrd.img", "-append", boot),
        *(word for drive in drives for word in ("-drive", drive)),
        *(word for it in CARDS for word in _card(it, port)),
        *("-device", "virtio-rng-pci", "-serial", f"file:{vm}/console.log"),
        *("-qmp", f"unix:{vm}/qmp,server,nowait", "-pidfile", f"{vm}/pid"),
    )


def _card(it: Card, port: int) -> Sequence[str]:
    device = f"virtio-net-pci,netdev={it.name},mac={it.mac},addr={it.slot:#x},romfile="
    return ("-netdev", it.netdev.format(name=it.name, port=port), "-device", device)


def overlay(tools: Tools, disks: Path, vm: Path, name: str) -> Sequence[str]:
    """Make an overlay of a disk, so that the disk itself stays as it was built."""
    image = ("-f", "qcow2", "-F", "raw", "-b", f"{disks}/{name}.img", f"{vm}/{name}.qcow2")
    return (tools.command("qemu-img"), "create", "-q", *image)
