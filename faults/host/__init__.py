"""Faults of whole hosts."""
