"""The fronts: the command line's tasks, their output, the Python API and the pytest plugin. No rule about hosts is decided here."""
