"""I-12: the desk respects the venue's limits, and a client that is told to wait, or refused, does. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Retry
from stormdesk.evidence.cut.venue_lines import OTHERS, Early, Open, Refused, Request, Throttled, VenueFault
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, result

WEIGHT_PER_MIN = 6000  # the venue's limit for one address
ON_THE_WIRE_S = 1.0  # what was sent before the answer 429 had arrived
TRY_S = 1.0  # a try itself, and what it waits for its turn
UNREAD = "how long a trader waits between tries could not be read"
REFUSES = "refuse-streams"  # the venue fault
BANS = ("418", "ban")  # in the names of venue faults that ban whoever asks


def i12(cut: Cut) -> CheckResult:
    """Used weight within the limit; after a 429 no request before its time; never a ban that the desk has earned; a
    connection that is refused is tried again with growing pauses."""
    requests = sum(isinstance(line, Request) and line.account not in OTHERS for line in cut.venue.rows)
    throttled = [line for line in cut.venue.rows if isinstance(line, Throttled)]
    refused = sum(isinstance(line, Refused) for line in cut.venue.rows)
    retry = cut.meta.retry if cut.meta else Retry()
    return result(
        "I-12",
        {"venue requests": requests, "throttled": len(throttled), "connections refused": refused},
        unreadable=[cut.venue.problem],
        floors=((requests, MIN_ORDERS, "venue requests"),),
        wrong=chain(_too_much(cut), _wrong_pauses(cut, retry) if retry else ()),
        doubts=[gap(cut), UNREAD if refused and not retry else ""],
        held=f"{requests} order requests, {len(throttled)} answered with 429, none too early"
        + (f"; {refused} connections refused, tried again with pauses of {_pauses(cut)} s" if refused else ""),
    )


def _too_much(cut: Cut) -> Iterator[str]:
    told: dict[str, tuple[float, float]] = {}  # when an address was first told to wait, and until when
    banning = 0
    for line in cut.venue.rows:
        if isinstance(line, Open):
            banning = 0  # the venue's faults end with it
        elif isinstance(line, VenueFault) and any(word in line.name for word in BANS):
            banning += 1 if line.on else -1
        elif isinstance(line, Throttled):
            if line.t >= told.get(line.remote, (0.0, 0.0))[1]:  # else it came too early and is told again
                told[line.remote] = (line.t, line.until)
            if line.used_weight > WEIGHT_PER_MIN:
                yield f"journal seq {line.seq}: {line.remote} used a weight of {line.used_weight}, {WEIGHT_PER_MIN} is allowed"
            if line.status == 418 and not banning:
                yield f"journal seq {line.seq}: {line.remote} is banned (418)"
        elif isinstance(line, Early) and line.t - told.get(line.remote, (0.0, 0.0))[0] > ON_THE_WIRE_S:
            yield f"journal seq {line.seq}: {line.remote} came {line.until - line.t:.1f} s before it might"


def _tries(cut: Cut) -> Iterator[tuple[str, int, float, bool]]:
    """Of each address from which the desk orders, while connections are refused: the address, how often it was refused before, the
    pause in seconds, and whether a try ended it (else the refusing did)."""
    ours = {line.remote for line in cut.venue.rows if isinstance(line, Request) and line.account not in OTHERS}
    since, last = 0.0, dict[str, tuple[float, int]]()
    for line in cut.venue.rows:
        if isinstance(line, Refused) and line.remote in ours:
            before, count = last.get(line.remote, (since, 0))
            yield line.remote, count, line.t - before, True
            last[line.remote] = (line.t, count + 1)
        elif isinstance(line, VenueFault) and line.name == REFUSES:
            yield from ((remote, count, line.t - before, False) for remote, (before, count) in last.items())
            since, last = line.t, {}
        elif isinstance(line, Open):
            last = {}  # the fault ended with the venue; when, nobody knows


def _wrong_pauses(cut: Cut, retry: Retry) -> Iterator[str]:
    for remote, count, pause_s, tried in _tries(cut):
        whole = min(retry.base_s * retry.factor ** min(count, 64), retry.cap_s)
        if tried and pause_s < whole * (1 - retry.jitter):
            yield f"{remote} tried again after {pause_s:.2f} s; refused {count} times, it should have waited {whole:g} s"
        elif pause_s > whole + TRY_S:
            yield f"{remote} did not try again for {pause_s:.1f} s; refused {count} times, it should have after {whole:g} s"


def _pauses(cut: Cut) -> str:
    """Those of the address that was refused most often."""
    tries = [(remote, pause_s) for remote, _, pause_s, tried in _tries(cut) if tried]
    most = max((remote for remote, _ in tries), key=[remote for remote, _ in tries].count, default="")
    return ", ".join(f"{pause_s:.1f}" for remote, pause_s in tries if remote == most)
