"""Faults of processes and services."""
