"""The guard of one host: looks after one trading service, restarts it, and when that does not help stops it safely.

`stages` and `health` are pure and decide; the rest asks, writes and restarts.
"""
