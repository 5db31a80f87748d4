"""Many real `invoke` command lines, and a trap that counts connections.

As a script it reads a JSON list of argument lists and runs each as `invoke` would, in a fork of one process that has
imported invoke already: process start is most of what a refused command line costs.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stormdesk.core import inventory as documents
from stormdesk.core.inventory import Inventory, InventoryHost, Link, ServiceEntry

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 120


@dataclass(frozen=True)
class Ended:
    """How one command line ended."""

    code: int
    out: str
    err: str


class Trap:
    """A listener on loopback that counts connections and closes each at once."""

    def __init__(self) -> None:
        self.count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def close(self) -> None:
        """Stop listening, and wait for the counter to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@contextmanager
def trap() -> Iterator[Trap]:
    """A Trap for a while."""
    it = Trap()
    try:
        yield it
    finally:
        it.close()


def inventory(port: int, identity: str) -> Inventory:
    """Two traders and a venue; all of them are the trap."""
    services = {"trader": ServiceEntry(user="trading", manager="supervisor", pidfile="/run/trading/trader.pid")}
    hosts = {
        name: InventoryHost(
            name=name,
            role=role,
            address="127.0.0.1",
            port=port,
            host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
            identity_file=identity,
            networks={"market": Link(interface="eth1", address="10.77.1.13/24")},
            services=services if role == "trader" else {},
            paths={"data": "/var/lib/trading"},
        )
        for name, role in (("trader-a", "trader"), ("trader-b", "trader"), ("venue", "venue"))
    }
    return Inventory(version=documents.VERSION, environment="trap", hosts=hosts)


def environ(home: Path) -> dict[str, str]:
    """An environment in which Stormdesk knows nothing of this machine's other work."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("STORMDESK_", "INVOKE_", "CI"))}
    return {**mine, "STORMDESK_HOME": str(home / "state"), "STORMDESK_RUNS": str(home / "runs"), "COLUMNS": "100"}


def run_all(lines: Sequence[Sequence[str]], env: Mapping[str, str]) -> list[Ended]:
    """Run the command lines, one after the other, in the project's directory."""
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(lines), env=dict(env), cwd=ROOT,
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Ended(**item) for item in json.loads(done.stdout)]


def _main() -> None:
    sys.path[0] = str(ROOT)
    from tests.support.zygote import IMPORTED

    for name in IMPORTED:  # before the forks, for all of them
        importlib.import_module(name)

    print(json.dumps([vars(_in_a_fork(["invoke", *words])) for words in json.load(sys.stdin)]))


def _in_a_fork(argv: list[str]) -> Ended:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _become(argv, out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        return Ended(code, out.read().decode(errors="replace"), err.read().decode(errors="replace"))


def _become(argv: list[str], out: int, err: int) -> None:
    from invoke.main import program

    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = argv
    code: object = 0
    try:
        program.run()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 -- as the interpreter itself would
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _main()
