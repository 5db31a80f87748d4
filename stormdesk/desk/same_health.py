"""Compares what each guard shows with what it has written: its API with health_v2.json on its host."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from stormdesk.core.errors import ExitCode, HostError
from stormdesk.desk.http_services import Services
from stormdesk.run.operate import Report
from stormdesk.ssh.pool import Pool

FILE = "/var/lib/trading/guard/health_v2.json"
MAX_AGE_S = 30.0  # health.max_age_intervals x health.interval_s of resilience.yaml
TRIES = 3  # a check between the two reads is no difference
READ_S = 5.0


def compare(pool: Pool) -> Report:
    """Every guard's page and file, until they agree; VIOLATED for those that differ or are too old, REFUSED for those that cannot be
    read."""
    services = Services(pool)
    whys = {host: _look(pool, services, host) for host in services.hosts("guard")}
    lines = tuple(f"{host}: {why or 'API and file agree'}" for host, why in whys.items())
    codes = [ExitCode.VIOLATED if why else ExitCode.HELD for why in whys.values()]
    return Report(ExitCode.worst(*codes), lines, {"same": {host: not why for host, why in whys.items()}})


def _look(pool: Pool, services: Services, host: str) -> str:
    """Why page and file of a host are not one; "" when they are."""
    why = ""
    for _ in range(TRIES):
        try:
            text = pool.run(host, ("cat", FILE), READ_S).stdout
        except HostError as error:
            return str(error)
        answer = services.get("guard", "/health_v2", [host])[host]
        why = difference(text, answer.document, time.time()) if answer.status else f"no answer: {answer.why}"
        if not why:
            break
    return why


def difference(written: str, shown: Mapping[str, Any], now: float) -> str:
    """What differs between file and page, besides the age that only the page can know; or that both are too old; else "". Pure."""
    try:
        document = json.loads(written)
    except ValueError:
        return f"{FILE} is no JSON"
    other = sorted(
        key for key in document.keys() | shown.keys() if key != "age_s" and document.get(key) != shown.get(key)
    )
    if other:
        return f"API and file differ in {', '.join(other)}"
    age_s = now - float(shown["ts"])
    if age_s > MAX_AGE_S or abs(age_s - float(shown["age_s"])) > MAX_AGE_S:
        return f"{age_s:.1f} s old, shown as {shown['age_s']:g} s; {MAX_AGE_S:g} s are allowed"
    return ""
