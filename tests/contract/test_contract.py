"""Each check of each client's script is a test. A script runs once, against a venue of its own."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract import clients, stage


@dataclass(frozen=True)
class Play:
    """A script of checks: with which client, and on a venue with which configuration."""

    script: str
    client: str
    config: Mapping[str, Any] = field(default_factory=dict)


PLAYS = (
    Play("ccxt_rest", "ccxt"),
    Play("ccxt_errors", "ccxt", {"limits": {"orders_per_10s": 20}}),
    Play("ccxt_pro", "ccxt"),
    Play("ccxt_tls", "ccxt"),
    Play("python_binance", "python-binance"),
    Play("binance_connector", "binance-connector"),
    Play("sdk_spot", "binance-sdk-spot"),
    Play("nautilus", "nautilus"),
)


def names(play: Play) -> list[str]:
    tree = ast.parse((stage.SCRIPTS / f"{play.script}.py").read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("check_")]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Play], Mapping[str, str]]:
    """What became of a script's checks; the first who asks runs it."""
    known: dict[str, Mapping[str, str]] = {}

    def of(play: Play) -> Mapping[str, str]:
        if play.script not in known:
            python = clients.python_of(play.client)
            home = tmp_path_factory.mktemp(play.script)
            with stage.venue(home, **play.config) as pid:
                known[play.script] = stage.checks(pid, home, python, play.script)
        return known[play.script]

    return of


@pytest.mark.parametrize(
    ("play", "name"), [pytest.param(play, name, id=f"{play.script}-{name}") for play in PLAYS for name in names(play)]
)
def test_contract(play: Play, name: str, outcome: Callable[[Play], Mapping[str, str]]) -> None:
    told = outcome(play)
    assert name in told, f"the script ended before {name}:\n{told['']}"
    assert not told[name], told[name]


def test_nothing_but_loopback_can_be_reached(tmp_path: Path) -> None:
    """The proof that no order of these tests can ever reach a real exchange."""
    with stage.venue(tmp_path) as pid:
        told = stage.run(pid, ["ip", "-oneline", "link"])
        assert [line.split(":")[1].strip() for line in told.splitlines()] == ["lo"]
        assert "local 127.0.0.0/8" in stage.run(pid, ["ip", "route", "show", "table", "all"])
        assert "default" not in stage.run(pid, ["ip", "route", "show", "table", "all"])
