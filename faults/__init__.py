"""The catalogue: one fault, one file. A fault that is missing from this dict does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.fault import Fault
from stormdesk.faults.disk.disk_error import DiskError
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.disk.disk_readonly import DiskReadonly
from stormdesk.faults.disk.disk_slow import DiskSlow
from stormdesk.faults.disk.fsync_lies import FsyncLies
from stormdesk.faults.disk.inode_full import InodeFull
from stormdesk.faults.disk.power_cut import PowerCut
from stormdesk.faults.file.dir_vanish import DirVanish
from stormdesk.faults.file.file_corrupt import FileCorrupt
from stormdesk.faults.file.file_permission import FilePermission
from stormdesk.faults.host.host_freeze import HostFreeze
from stormdesk.faults.host.host_reboot import HostReboot
from stormdesk.faults.load.cpu_stress import CpuStress
from stormdesk.faults.load.io_stress import IoStress
from stormdesk.faults.load.memory_stress import MemoryStress
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.net.adapter_flap import AdapterFlap
from stormdesk.faults.net.dns_failure import DnsFailure
from stormdesk.faults.net.mtu_blackhole import MtuBlackhole
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.faults.net.net_corrupt import NetCorrupt
from stormdesk.faults.net.net_duplicate import NetDuplicate
from stormdesk.faults.net.net_latency import NetLatency
from stormdesk.faults.net.net_loss import NetLoss
from stormdesk.faults.net.net_partition import NetPartition
from stormdesk.faults.net.net_reorder import NetReorder
from stormdesk.faults.net.net_reset import NetReset
from stormdesk.faults.net.port_block import PortBlock
from stormdesk.faults.net.port_exhaust import PortExhaust
from stormdesk.faults.noop import Noop
from stormdesk.faults.process.fd_exhaust import FdExhaust
from stormdesk.faults.process.pid_exhaust import PidExhaust
from stormdesk.faults.process.process_crashloop import ProcessCrashloop
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.faults.process.process_pause import ProcessPause
from stormdesk.faults.process.service_stop import ServiceStop
from stormdesk.faults.time.clock_skew import ClockSkew
from stormdesk.faults.time.ntp_block import NtpBlock

FAULTS: Mapping[str, type[Fault]] = {
    "adapter-down": AdapterDown,
    "adapter-flap": AdapterFlap,
    "clock-skew": ClockSkew,
    "cpu-stress": CpuStress,
    "dir-vanish": DirVanish,
    "disk-error": DiskError,
    "disk-full": DiskFull,
    "disk-readonly": DiskReadonly,
    "disk-slow": DiskSlow,
    "dns-failure": DnsFailure,
    "fd-exhaust": FdExhaust,
    "file-corrupt": FileCorrupt,
    "file-permission": FilePermission,
    "fsync-lies": FsyncLies,
    "host-freeze": HostFreeze,
    "host-reboot": HostReboot,
    "inode-full": InodeFull,
    "io-stress": IoStress,
    "memory-stress": MemoryStress,
    "mtu-blackhole": MtuBlackhole,
    "net-bandwidth": NetBandwidth,
    "net-corrupt": NetCorrupt,
    "net-duplicate": NetDuplicate,
    "net-latency": NetLatency,
    "net-loss": NetLoss,
    "net-partition": NetPartition,
    "net-reorder": NetReorder,
    "net-reset": NetReset,
    "noop": Noop,
    "ntp-block": NtpBlock,
    "pid-exhaust": PidExhaust,
    "port-block": PortBlock,
    "port-exhaust": PortExhaust,
    "power-cut": PowerCut,
    "process-crashloop": ProcessCrashloop,
    "process-kill": ProcessKill,
    "process-pause": ProcessPause,
    "service-stop": ServiceStop,
}
DEMO: Fault = DiskFull()  # what `invoke demo` shows
