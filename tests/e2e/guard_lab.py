"""A lab with guards: its hosts by name, and the documents of their services. Timers are shortened to NUMBERS."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from stormdesk.ssh.pool import Pool
from stormdesk.testnet.resilience import Resilience

NUMBERS: dict[str, dict[str, Any]] = {
    "guard": {"check_s": 1, "verify_s": 20, "backoff_s": [1, 2, 3], "notify_s": 10},
    "health": {"interval_s": 6},
    "leader": {"ttl_s": 12, "renew_s": 4},
    "orchestrator": {"check_s": 0.5, "answer_s": 12},
}
GUARDED = {"feed": "feeder", "trader-a": "trader", "trader-b": "trader"}


class Lab:
    """Hosts by name, and what their services say."""

    def __init__(self, pool: Pool, numbers: Resilience) -> None:
        self.pool = pool
        self.numbers = numbers

    @property
    def sure_s(self) -> float:
        """How long a guard needs to be sure that something is wrong."""
        return self.numbers.guard.bad_checks * self.numbers.guard.check_s

    @property
    def gives_up_s(self) -> float:
        """Enough for all restarts of what dies at once, on a busy machine."""
        guard = self.numbers.guard
        return sum(guard.backoff_s[: guard.attempts]) + (guard.attempts + 1) * self.sure_s + 60

    def sh(self, host: str, script: str, *words: str) -> str:
        done = self.pool.run(host, ("sh", "-c", script, "sh", *words), 30)
        assert done.ok, f"{host}: {script}: {done.stdout} {done.stderr}"
        return done.stdout.strip()

    def get(self, host: str, port: int, path: str) -> dict[str, Any]:
        """A JSON document, {} when nobody answers."""
        text = self.pool.run(host, ("curl", "-s", "-m", "3", f"http://127.0.0.1:{port}{path}"), 10).stdout
        return dict(json.loads(text)) if text.startswith("{") else {}

    def health(self, host: str) -> dict[str, Any]:
        return self.get(host, 9110, "/health_v2")

    def state(self) -> dict[str, Any]:
        return self.get("ops", 8010, "/state")

    def pid(self, host: str, service: str) -> str:
        return self.sh(host, f"cat /run/trading/{service}.pid")

    def pids(self) -> dict[str, str]:
        return {host: self.pid(host, service) for host, service in GUARDED.items()}

    def restarts(self, host: str) -> int:
        text = self.sh(host, "curl -s http://127.0.0.1:9110/metrics | grep '^guard_restarts_total'")
        return int(float(text.split()[-1]))

    def moves(self, host: str) -> list[str]:
        """The transitions in the guard's log."""
        text = self.sh(host, "grep -o 'stage: .*' /var/log/trading/guard.log || true")
        return [line.removeprefix("stage: ").partition(":")[0] for line in text.splitlines()]

    def well(self) -> bool:
        return all(self.health(host).get("dor") for host in GUARDED) and self.state().get("paused") is False

    def accepted(self) -> list[float]:
        """When the venue accepted the desk's orders."""
        lines = self.sh("venue", "grep '\"ACCEPTED\"' /var/lib/trading/venue/journal.jsonl | tail -n 400").splitlines()
        return [float(line["t"]) for line in map(json.loads, lines) if line["account"] == "desk"]

    def trades(self) -> bool:
        """Orders are being accepted."""
        return time.time() - self.accepted()[-1] < 2

    def settled(self) -> None:
        eventually(self.well, 60)
        eventually(self.trades, 60)
        eventually(lambda: {self.health(h)["stage"] for h in GUARDED} == {"OBSERVE"}, self.numbers.guard.verify_s + 60)


def eventually(ask: Callable[[], Any], within_s: float) -> float:
    """Seconds until the first true answer; fails after `within_s`. A document that did not come is none yet."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(KeyError):
            if ask():
                return time.monotonic() - began
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        time.sleep(0.2)
