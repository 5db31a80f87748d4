"""Faults of networks and network interfaces."""
