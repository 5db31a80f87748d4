"""The feeder: the venue's market streams, checked for gaps, onto the bus. `market` decides and is pure, `feed` acts."""
