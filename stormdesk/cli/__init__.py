"""The front ends: the tasks of the command line, their output, the Python API and the pytest plugin. Rules about hosts are elsewhere."""
