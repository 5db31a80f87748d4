"""A venue and one client in a network namespace with loopback only, so that no other exchange can be reached."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stormdesk.infra import ca

SCRIPTS = Path(__file__).parent / "scripts"
CHECKS_S = 300.0
KEY, SECRET = "contract-key", "contract-secret"
ACCOUNT = {
    "name": "desk",
    "api_key": KEY,
    "api_secret": SECRET,
    "balances": {"USDT": "1000000", "BTC": "20", "ETH": "300"},
}
ALONE = 'ip link set lo up && mount -n --bind "$1" /etc/hosts && shift && exec "$@"'
ENTER = ("nsenter", "--net", "--mount", "--target")


@contextmanager
def venue(home: Path, **config: Any) -> Iterator[int]:
    """The pid of a venue in namespaces of its own: REST on :8080, control on :8081 of 127.0.0.1."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    document = {
        "listen": "127.0.0.1:8080", "control": "127.0.0.1:8081", "data_dir": str(home / "venue"),
        "pidfile": str(home / "venue.pid"), "seed": 7, "symbols": ["BTCUSDT", "ETHUSDT"], "accounts": [ACCOUNT], **config,
    }  # fmt: skip
    authority = ca.make()
    (home / "ca.pem").write_text(authority.certificate)
    server = ca.issue(authority, ["api.venue.internal"])
    document["tls"] = {"listen": "127.0.0.1:8443", "certificate": server.certificate, "key": server.key}
    (home / "venue.json").write_text(json.dumps(document))
    (home / "hosts").write_text("127.0.0.1 localhost api.venue.internal\n")
    command = [sys.executable, "-m", "stormdesk.testnet.venue", "--config", str(home / "venue.json")]
    alone = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", ALONE, "sh", str(home / "hosts")]
    with (home / "venue.log").open("ab") as log:
        process = subprocess.Popen([*alone, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(process, home)
        yield process.pid
        assert process.poll() is None, f"the venue ended: {(home / 'venue.log').read_text()[-2000:]}"
    finally:
        process.terminate()
        process.wait(15)


def _wait(process: subprocess.Popen[bytes], home: Path) -> None:
    """Until the venue is open, and so in its own namespaces: before that, its namespaces are those of this machine."""
    end = time.monotonic() + CHECKS_S
    while not (home / "venue.pid").exists():
        assert process.poll() is None, f"the venue ended: {(home / 'venue.log').read_text()[-2000:]}"
        assert time.monotonic() < end, "the venue is not open"
        time.sleep(0.02)
    for kind in ("net", "mnt"):
        theirs, ours = Path(f"/proc/{process.pid}/ns/{kind}"), Path(f"/proc/self/ns/{kind}")
        assert theirs.readlink() != ours.readlink(), f"the venue shares its {kind} namespace with this machine"


def checks(pid: int, home: Path, python: Path, script: str) -> dict[str, str]:
    """Run a script beside the venue; by the name of each of its checks what went wrong, "" when nothing."""
    words = [*ENTER, str(pid), str(python), str(SCRIPTS / f"{script}.py")]
    known = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "API_KEY": KEY, "API_SECRET": SECRET}
    known["REQUESTS_CA_BUNDLE"] = str(home / "ca.pem")
    with tempfile.TemporaryFile("w+") as out:
        with subprocess.Popen(words, env=known, stdout=out, stderr=subprocess.STDOUT) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):  # then the checks that it did not come to fail
                process.wait(CHECKS_S)
            process.kill()
        out.seek(0)
        lines = out.read().splitlines()
    told = [json.loads(line.removeprefix("CHECK ")) for line in lines if line.startswith("CHECK ")]
    return {"": "\n".join(lines[-40:]), **dict(told)}


def run(pid: int, words: list[str]) -> str:
    """What a command says beside the venue."""
    done = subprocess.run([*ENTER, str(pid), *words], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout
