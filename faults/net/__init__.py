"""Faults of networks and of the interfaces to them."""
