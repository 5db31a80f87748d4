"""The feeder: the venue's market streams, checked for gaps, onto the bus. `books` is pure, `feed` does the I/O."""
