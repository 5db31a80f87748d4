"""The catalogue: one fault, one file. A fault that is not in this dict does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.model import Fault
from stormdesk.faults.adapter_down import AdapterDown
from stormdesk.faults.disk_full import DiskFull
from stormdesk.faults.process_kill import ProcessKill

FAULTS: Mapping[str, type[Fault]] = {
    "adapter-down": AdapterDown,
    "disk-full": DiskFull,
    "process-kill": ProcessKill,
}
