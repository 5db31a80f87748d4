"""The judges: a cut in; held, violated or unknown out. Pure; one file per family.

Rules:
1. One source of every order judge is the venue's own journal: a trader is never asked about itself.
2. Unreadable source, or fewer rows than the floor: unknown, whatever else there is. Silence is never a pass.
3. Then anything wrong: violated, and `why` names the first offender by id, line or number.
4. Only then held. A journal with a gap can still show what is wrong; that nothing is wrong it cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.evidence.cut import Cut
from stormdesk.evidence.judges.bus import i11
from stormdesk.evidence.judges.feed import i08
from stormdesk.evidence.judges.gates import i07, shut
from stormdesk.evidence.judges.judging import DRAIN_S, Judge, order_sources
from stormdesk.evidence.judges.kills import i17, kills
from stormdesk.evidence.judges.leader import i06
from stormdesk.evidence.judges.ledger import i05
from stormdesk.evidence.judges.orders import i01, i02, i03, lost_orders
from stormdesk.evidence.judges.outcomes import i18
from stormdesk.evidence.judges.positions import i04, i14
from stormdesk.evidence.judges.rates import i12
from stormdesk.evidence.judges.recovery import i09, i10
from stormdesk.evidence.judges.refusals import calls_for_refused, refusals, refused_ids
from stormdesk.evidence.judges.residue import i13
from stormdesk.evidence.judges.signals import from_outside, i21
from stormdesk.evidence.judges.stops import i19, stops
from stormdesk.evidence.judges.trades import i20

__all__ = ["ALWAYS", "DRAIN_S", "JUDGES", "Judge", "applicable", "calls_for_refused", "lost_orders", "refused_ids"]

JUDGES: Mapping[str, Judge] = {
    "I-01": i01,
    "I-02": i02,
    "I-03": i03,
    "I-04": i04,
    "I-05": i05,
    "I-06": i06,
    "I-07": i07,
    "I-08": i08,
    "I-09": i09,
    "I-10": i10,
    "I-11": i11,
    "I-12": i12,
    "I-13": i13,
    "I-14": i14,
    "I-17": i17,
    "I-18": i18,
    "I-19": i19,
    "I-20": i20,
    "I-21": i21,
    "refusals": refusals,
}


# Those that every cut of a trading stack calls for.
ALWAYS = ("I-01", "I-02", "I-03", "I-04", "I-05", "I-13", "I-14", "I-18", "I-20")
# What a judge needs besides the sources that every cut has. A cut without a service does not ask for its sources, and
# cuts of before there were these sources did not either: then the judge is left out, and never passes in silence.
NEEDS: Mapping[str, str] = {
    "I-06": "epochs",
    "I-07": "state-files",
    "I-08": "feeder",
    "I-11": "bus",
    "I-12": "throttling",
    "I-17": "operators",
    "I-19": "operators",
}


def applicable(cut: Cut) -> list[str]:
    """The judges that a cut calls for: those whose sources were asked for; recovery and restarts only after a fault,
    gates only when one was shut, kills, stops by people and signals from outside
    only when there was one, refusals only after a full disk on a trader."""
    meta = cut.meta
    if meta is None:
        return list(JUDGES)
    skipped = {name for name, source in NEEDS.items() if source not in meta.asked}
    if meta.fault is None and meta.recovery is None:
        skipped.add("I-09")
    if meta.processes_before is None:
        skipped.add("I-10")
    if not (shut(cut) or cut.state_files_problem or any(order_sources(cut))):
        skipped.add("I-07")
    if not (kills(cut) or cut.operators.problem):
        skipped.add("I-17")
    if not (stops(cut) or cut.operators.problem):
        skipped.add("I-19")
    if not (from_outside(cut) or any(order_sources(cut))):
        skipped.add("I-21")
    if not meta.refusing:
        skipped.add("refusals")
    return [name for name in JUDGES if name not in skipped]
