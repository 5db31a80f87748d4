"""What is only about our trading stack: operator actions, venue faults, pulse. A run on any other hosts imports nothing of it."""
