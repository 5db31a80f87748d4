"""I-12: the desk respects the venue's limits, and a client that is told to wait does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.venue_lines import OTHERS, Early, Open, Request, Throttled, VenueFault
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, result

WEIGHT_PER_MIN = 6000  # the venue's limit for one address
ON_THE_WIRE_S = 1.0  # what was sent before the answer 429 had arrived
BANS = ("418", "ban")  # in the names of venue faults that ban whoever asks


def i12(cut: Cut) -> CheckResult:
    """Used weight within the limit; after a 429 no request before its time; never a ban that the desk has earned."""
    requests = sum(isinstance(line, Request) and line.account not in OTHERS for line in cut.venue.rows)
    throttled = [line for line in cut.venue.rows if isinstance(line, Throttled)]
    return result(
        "I-12",
        {"venue requests": requests, "throttled": len(throttled)},
        unreadable=[cut.venue.problem],
        floors=((requests, MIN_ORDERS, "venue requests"),),
        wrong=_too_much(cut),
        doubts=[gap(cut)],
        held=f"{requests} order requests, {len(throttled)} answered with 429, none too early",
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
