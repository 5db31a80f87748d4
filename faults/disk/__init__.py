"""Faults of file systems and block devices."""
