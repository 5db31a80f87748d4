"""Prometheus' text format, as far as we need it. Pure."""

from __future__ import annotations


def parse(text: str) -> dict[str, float]:
    """Samples by name with labels, as written. Comments, histogram buckets and invalid lines are skipped."""
    samples = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if not name or line.startswith("#") or "_bucket{" in name:
            continue
        try:
            samples[name] = float(value)
        except ValueError:
            continue
    return samples
