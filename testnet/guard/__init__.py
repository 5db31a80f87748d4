"""The guard of one host: it watches one trading service, restarts it, and if that does not help stops the host safely.

`stages` and `health` are pure and decide; the other modules do the I/O.
"""
