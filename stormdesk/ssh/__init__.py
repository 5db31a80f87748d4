"""Connections to hosts: transport, pool, fan-out, signals, testinfra's backend. Nothing here knows what a fault or a check is."""
