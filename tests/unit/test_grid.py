"""Grids of parameters: every value can be typed, and the smaller forms of a fault end somewhere."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.grid import grid, simpler
from stormdesk.core.values import BitRate, Percent
from stormdesk.faults import FAULTS
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.net_bandwidth import NetBandwidth


@pytest.mark.parametrize("name", FAULTS)
def test_every_grid_has_values_of_its_parameter_and_each_but_once(name: str) -> None:
    for values in grid(FAULTS[name]).values():
        assert len(values) >= 2
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("name", FAULTS)
def test_the_smaller_forms_of_a_fault_end(name: str) -> None:
    """From the largest of each parameter, step by step down to the smallest, through fewer forms than the grid has points."""
    values = grid(FAULTS[name])
    form: Fault = dataclasses.replace(cast(Any, FAULTS[name]()), **{key: each[-1] for key, each in values.items()})
    steps = 0
    while forms := simpler(form):
        form = forms[0]
        steps += 1
    assert steps == sum(len(each) - 1 for each in values.values())


def test_a_smaller_form_has_one_parameter_one_step_down() -> None:
    assert simpler(DiskFull()) == [DiskFull(percent=Percent(90))]
    assert simpler(DiskFull(percent=Percent(50))) == []
    assert simpler(DiskFull(percent=Percent(77))) == [DiskFull(percent=Percent(50))]
    assert [cast(NetBandwidth, each).rate for each in simpler(NetBandwidth(rate=BitRate("128kbit")))] == [10**6]
