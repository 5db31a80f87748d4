"""Everything that is only about our trading stack: operator actions, venue faults, pulse. A run on other hosts imports nothing of
it."""
