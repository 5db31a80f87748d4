"""Parses Prometheus' text format. Pure."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Mapping

_LINE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+([^\s]+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def series(text: str) -> Iterable[tuple[str, Mapping[str, str], float]]:
    """(name, labels, value) of each line of a Prometheus text exposition that has a number; NaN is none."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match or line.startswith("#"):
            continue
        with contextlib.suppress(ValueError):
            value = float(match[3])
            if math.isfinite(value):
                yield match[1], dict(_LABEL.findall(match[2] or "")), value
