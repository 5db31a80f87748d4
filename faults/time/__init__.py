"""Faults of time: clocks and the way to time servers."""
