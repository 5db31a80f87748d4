"""What a run is doing at the moment, for the live page: events in, one after the other, a small document out. Pure.

Instants are seconds since 1970, by the controller's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stormdesk.core.journal import Event

LATEST, CHECKS = 12, 40  # lines of each that the page shows
HOST_STATES = {
    "S1.intent": "arming",
    "S2.armed": "armed",
    "S4.injected": "in",
    "S5.confirmed": "in, effect seen",
    "S7.revert": "reverting",
    "S9.cleared": "healed",
}
PHASES = {
    "run.started": "starting", "steady": "steady state looked at", "S4.injected": "fault in", "S7.revert": "healing",
    "recovered": "recovered", "cut": "judging", "verdict": "over",
}  # fmt: skip
QUIET = ("sample", "marks", "S2.armed", "S3.acknowledged", "S6.hold", "control.open")  # not among the latest events


class Board:
    """The state of one run. `take` each event once, in order; `document` is what the page gets."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {"run": "", "fault": "", "phase": "starting", "over": False}
        self._steps: dict[str, dict[str, Any]] = {}
        self._checks: list[dict[str, str]] = []
        self._latest: list[tuple[float, str]] = []
        self._metrics: Mapping[str, float] | None = None
        self._held: dict[tuple[str, str], float] = {}  # when a hold is over

    def take(self, event: Event) -> None:
        """Never raises for an event of another version: what is missing is not shown."""
        name, t = str(event["event"]), float(event["t"])
        self._head["phase"] = PHASES.get(name, self._head["phase"])
        if name == "run.started":
            self._start(event)
        elif name == "sample":
            self._metrics = event.get("metrics")
        elif name in ("steady", "checks", "expectations"):
            self._judged(event)
        elif name in ("act", "acted", "note"):
            if step := self._steps.get(str(event.get("op", ""))):
                step["state"] = "running" if name == "act" else "done"
        elif "host" in event:
            self._host(event, t)
        elif name == "verdict":
            more = ("verdict", "residue", "exit_code", "why")
            self._head.update(over=True, **{key: event.get(key) for key in more})
        if name not in QUIET:
            self._latest = [*self._latest, (t, _told(event))][-LATEST:]

    def document(self, now: float) -> dict[str, Any]:
        """All of it. `until` is when a host is to heal, `heals_by` when it does so without the controller."""
        lanes: dict[str, list[dict[str, Any]]] = {}
        for step in self._steps.values():
            lanes.setdefault(step["lane"], []).append({**step, "hosts": list(step["hosts"].values())})
        return {
            **self._head,
            "t": now,
            "lanes": [{"name": name, "steps": steps} for name, steps in lanes.items()],
            "metrics": self._metrics,
            "checks": self._checks[-CHECKS:],
            "latest": self._latest[::-1],
        }

    def _start(self, event: Event) -> None:
        book = event.get("runbook") or {}
        head = {
            "run": event.get("run", ""),
            "fault": event.get("fault", ""),
            "environment": event.get("environment", ""),
        }
        self._head.update(head, title=book.get("title", ""), hypothesis=book.get("hypothesis", ""), began=event["t"])
        hosts = ", ".join(map(str, event.get("hosts", ())))
        alone = {"id": "", "lane": "run", "fault": event.get("fault", ""), "host": hosts}
        for op in event.get("ops") or [alone]:
            what = (
                op.get("fault")
                or op.get("act")
                or op.get("pause")
                or op.get("note")
                or f"wait {op.get('wait_s', '')} s"
            )
            does = f"{what} on {op['host']}" if op.get("host") else str(what)
            step = {"id": str(op["id"]), "lane": str(op.get("lane", "")), "does": does, "state": "waiting", "hosts": {}}
            self._steps[str(op["id"])] = step

    def _host(self, event: Event, t: float) -> None:
        step = self._steps.get(str(event.get("op", "")))
        if step is None:
            return
        name = str(event["host"])
        host = step["hosts"].setdefault(name, {"host": name, "state": "waiting", "until": None, "heals_by": None})
        kind = str(event["event"])
        host["state"] = HOST_STATES.get(kind, host["state"])
        match kind:
            case "S1.intent":
                host["heals_by"] = t + float(event.get("ttl_s", 0))
            case "S6.hold":
                host["until"] = t + float(event.get("hold_s", 0))
            case "S8.verified" if event.get("clean") is False:
                host["dirty"] = True
            case "S9.cleared":
                host["until"] = host["heals_by"] = None
        if host.get("dirty"):
            host["state"] = "may be dirty"
        step["state"] = host["state"]

    def _judged(self, event: Event) -> None:
        checks = event.get("checks", ())
        bad = [check for check in checks if check.get("verdict") != "held"]
        name = {"steady": f"steady state {event.get('when', '')}", "checks": "checks after the fault"}.get(
            str(event["event"]), "expected"
        )
        verdict = next((v for v in ("violated", "unknown") if any(c.get("verdict") == v for c in bad)), "held")
        said = {"id": name, "verdict": verdict, "why": f"{len(checks) - len(bad)} of {len(checks)} held"}
        self._checks += [said, *({key: str(check.get(key, "")) for key in ("id", "verdict", "why")} for check in bad)]


def _told(event: Event) -> str:
    """An event in a line."""
    words = [
        str(event[key]) for key in ("op", "host", "task", "who", "text", "said", "why", "witness") if event.get(key)
    ]
    name = str(event["event"])
    return f"{name.partition('.')[2] or name}: {' '.join(words)}".rstrip(": ")[:240]
