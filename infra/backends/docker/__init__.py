"""Hosts as containers of a Docker engine.

plan.py      a topology's networks and hosts as values, to be requested from the engine; pure
argv.py      those values as `docker` command lines; pure
declared.py  those values as Pulumi resources
swarm.py     the same hosts as one-replica services across several machines; pure
declared_swarm.py  those services as Pulumi resources
choices.py   what is chosen once per environment and stored: image, subnets, ports, nodes
engine.py    the engine's command line: inspect, create, remove by label
image.py     the host image, and a base for it where no registry is reachable
start.py     pid 1 of a container, up to the exec of its init
"""
