"""Faults of load: processors, memory, disks."""
