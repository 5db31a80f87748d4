"""Values of a fault's parameters that are worth trying, and the smaller forms of a fault. Pure.

A field of a fault names them in its metadata: `"grid": ("10ms", "100ms", "1s")`, as one types them, the smallest harm first. The
search draws from the grid; shrinking a failure walks it downwards.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from stormdesk.core.fault import Fault


def grid(kind: type[Fault]) -> Mapping[str, Sequence[Any]]:
    """Of each parameter that has a grid its values, the smallest harm first."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: [field.metadata.get("kind", hints[field.name])(text) for text in field.metadata["grid"]]
        for field in dataclasses.fields(typing.cast(Any, kind))
        if "grid" in field.metadata
    }


def simpler(fault: Fault) -> Sequence[Fault]:
    """The next smaller forms of a fault, the smallest first: each has one parameter one step further down its grid.

    A value that is not on the grid steps down to the smallest. Empty where every parameter is at its smallest.
    """
    forms = []
    for name, values in grid(type(fault)).items():
        value = getattr(fault, name)
        at = values.index(value) if value in values else 1
        if at > 0:
            smaller = dataclasses.replace(typing.cast(Any, fault), **{name: values[at - 1]})
            forms.append((at - 1, smaller))
    return [form for _, form in sorted(forms, key=lambda form: form[0])]
