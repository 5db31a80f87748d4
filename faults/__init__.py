"""The catalogue: one fault, one file. A fault that is not in this dict does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.fault import Fault
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.faults.noop import Noop
from stormdesk.faults.process.process_kill import ProcessKill

FAULTS: Mapping[str, type[Fault]] = {
    "adapter-down": AdapterDown,
    "disk-full": DiskFull,
    "net-bandwidth": NetBandwidth,
    "noop": Noop,
    "process-kill": ProcessKill,
}
DEMO: Fault = DiskFull()  # what `invoke demo` shows
