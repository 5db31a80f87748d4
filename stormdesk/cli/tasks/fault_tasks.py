"""A task for each fault, with the flags that the fault declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stormdesk.cli import fault_flags
from stormdesk.cli.command import Command
from stormdesk.cli.options import Options

Act = Callable[[str, Mapping[str, Any]], int]


def fault_task(name: str, fault: type[Any], act: Act, common: fault_flags.Flags, about: str) -> Command:
    """The task of one fault: `act` gets its name and the values of its flags. `common` are the flags of its group."""

    def body(_: Options, **values: Any) -> int:
        return act(name, values)

    body.__doc__ = about
    body.__signature__ = fault_flags.signature(fault, common)  # type: ignore[attr-defined]
    return Command(
        body,
        name=name,
        hint=fault_flags.hint(fault, common),
        help=fault_flags.helps(fault, common),
        kinds=fault_flags.kinds(fault),
        iterable=["host"] if "host" in common else [],
    )
