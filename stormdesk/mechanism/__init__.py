"""Mechanisms shared by faults, as ladders with the best first: the requirements of each, and its steps. Pure; knows no run."""
