"""Faults of time: clocks and the path to time servers."""
