"""The prober: asks every target for its metrics once a second and keeps what they said. `samples` is pure."""
