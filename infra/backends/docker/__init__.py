"""Hosts as containers of a Docker engine.

plan.py      a topology's networks and hosts as values: what the engine is asked for; pure
argv.py      those values as command lines of `docker`; pure
declared.py  those values as Pulumi resources
swarm.py     the same hosts as one-replica services over several machines; pure
declared_swarm.py  those as Pulumi resources
choices.py   what is chosen once for an environment and kept: image, subnets, ports, nodes
engine.py    the engine's own command line: look, create, remove by labels
image.py     the image of a host, and a base for it where no registry can be reached
start.py     pid 1 of a container, up to the exec of its init
"""
