"""Bad input of every fault, also of one that is added: each parameter takes no impossible value, and no target that is not there.

What comes of it is one line, before anything is armed: planning is pure. The command line itself: tests/e2e/test_bad_input.py.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stormdesk.core.errors import ExitCode, RefusedError, StormdeskError, UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.values import Value
from stormdesk.faults import FAULTS
from stormdesk.faults.net.traffic import Selecting
from tests.cases.planning import PLANS, load, planned

IMPOSSIBLE = ("", "a\nb", "NaN", "-1e309", "9" * 20, "a;id", "\u202e5", "x" * 5000)
# Of parameters that are text: what is no target. Whether a user, a file or a process is there only the host knows: its cases.
NO_TARGET: Mapping[str, tuple[str, ...]] = {
    "service": ("nobody", "a;id"),
    "pidfile": ("../x", "x"),
    "pattern": ("sshd", "x"),
    "path": ("../etc", "/proc/1", "data", "/a\nb"),
    "network": ("mars",),
    "interface": ("lo", "all", "eth0;reboot"),
    "peer": ("mars", "trader-a", "a;id"),
    "names": ("a b;",),
    "address": ("300.1.1.1", "wrong"),
    "how": ("warp",),
    "mechanism": ("warp",),
    "user": (),
}
INSTEAD = ({"service", "pidfile", "pattern"}, {"network", "interface"})  # of these, one is given
TOGETHER = {"address": {"answer": "wrong"}}  # what lets the parameter be read
CAME = "10.77.0.1 50000 10.77.0.13 22"  # our own connection, as a host names it


def parameters(kind: type[Fault]) -> Iterator[tuple[str, Any]]:
    """Each parameter with the type of its values."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(typing.cast(Any, kind)):
        yield field.name, field.metadata.get("kind", hints[field.name])


def case_of(fault: str) -> dict[str, Any]:
    """One that is planned as it stands."""
    return next(case for name, case in map(load, PLANS) if name == fault)


def one_line(error: StormdeskError) -> None:
    assert str(error).isprintable()
    assert error.exit_code is (ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.REFUSED)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_parameter_takes_an_impossible_value(fault: str) -> None:
    for name, kind in parameters(FAULTS[fault]):
        if isinstance(kind, type) and issubclass(kind, Value):
            for text in IMPOSSIBLE:
                with pytest.raises(UsageError) as caught:
                    pytest.fail(f"--{name} takes {kind(text)!r}")
                one_line(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_parameter_takes_a_target_that_is_not_there(fault: str) -> None:
    case = case_of(fault)
    planned(case, fault)
    for name, kind in parameters(FAULTS[fault]):
        if isinstance(kind, type) and issubclass(kind, Value):
            continue
        assert name in NO_TARGET, f"say in NO_TARGET what is no --{name}"
        gone = next((group for group in INSTEAD if name in group), set())
        others = {key: value for key, value in case["params"].items() if key not in gone} | TOGETHER.get(name, {})
        for text in NO_TARGET[name]:
            with pytest.raises((UsageError, RefusedError)) as caught:
                pytest.fail(
                    f"--{name} {text!r} is planned: {planned({**case, 'params': {**others, name: text}}, fault)}"
                )
            one_line(caught.value)


@pytest.mark.parametrize("fault", [name for name, kind in FAULTS.items() if issubclass(kind, Selecting)])
@pytest.mark.parametrize("ports", ["22", "1-1023"])
def test_no_filter_takes_the_port_of_our_own_connection(fault: str, ports: str) -> None:
    """Where a port is not named, our connection is let pass instead: the cases."""
    case = case_of(fault)
    facts = {**case["facts"], "came": CAME, "carriers": "eth0\neth0"}
    bad = {**case, "facts": facts, "params": {**case["params"], "port": ports}}
    bad["params"] = {
        key: value for key, value in bad["params"].items() if key not in ("network", "interface", "protocol")
    }
    with pytest.raises(
        RefusedError, match=r"includes port 22 of our own connection to trader-a\. Nothing was changed"
    ) as caught:
        planned(bad, fault)
    one_line(caught.value)
