"""Promises of SECURITY.md that the code's text alone can show."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_purity import ROOT

# Who may listen: a UNIX socket of the lab, ports that are free (found, and let go of), and a host's loopback for the hold.
MAY_LISTEN = {"infra/backends/lab/init.py", "infra/backends/docker/choices.py", "stormdesk/host/verbs/dns.py"}
LISTENING = ("listen", "create_server", "start_server", "start_unix_server", "serve_forever", "recvfrom", "run_app")


def listening(text: str) -> Iterator[str]:
    """What a file calls to let others reach it; a server class too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in LISTENING or name.endswith(("Server", "TCPSite")):
                yield name


def files() -> Iterator[Path]:
    """The engine's files, each once; the trading stack in testnet/ consists of servers."""
    for room in ("stormdesk", "faults", "checks", "infra"):
        yield from (path for path in (ROOT / room).rglob("*.py") if path == path.resolve())


def test_no_component_listens() -> None:
    found = {str(path.relative_to(ROOT)) for path in files() if any(listening(path.read_text()))}
    assert found == MAY_LISTEN


@pytest.mark.parametrize(
    "planted",
    ["s.listen(5)", "asyncio.start_server(f, '', 1)", "http.server.HTTPServer(a, h)", "socket.create_server(a)"],
)
def test_a_planted_server_is_detected(planted: str) -> None:
    assert list(listening(f"def f():\n    {planted}\n"))
