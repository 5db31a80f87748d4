"""Faults of load: CPUs, memory, disks."""
