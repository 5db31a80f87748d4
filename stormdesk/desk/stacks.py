"""The services of each trading stack, as a runbook may need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CORE = ("feeder", "guard", "orchestrator", "postgres", "prober", "redis", "trader", "venue")
STACKS: Mapping[str, Sequence[str]] = {"core": CORE, "full": (*CORE, "kafka")}
