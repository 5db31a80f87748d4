"""The feeder: publishes the venue's market streams, checked for gaps, on the bus. `market` decides and is pure, `feed` does the I/O."""
