"""Stormdesk: host faults over SSH that are guaranteed to heal, for teams that trade."""

__version__ = "0.1.0"
