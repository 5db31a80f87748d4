"""I-11: the bus keeps each key's order, and a repeated message has no second effect. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Consumer
from stormdesk.evidence.judges.judging import result

MIN_MESSAGES = 20


def i11(cut: Cut) -> CheckResult:
    """What lies on the bus is in the order of each key but for messages that came again; no reader found one out of
    order that it did not know, and each has read to the end."""
    messages, again = len(cut.bus), len(cut.bus) - len({message.id for message in cut.bus.rows})
    read = min((reader.messages for reader in cut.consumers.values()), default=0)
    return result(
        "I-11",
        {"messages on the bus": messages, "came again": again, "readers": len(cut.consumers)},
        unreadable=[cut.bus.problem, cut.consumers_problem],
        floors=(
            (messages, MIN_MESSAGES, "messages on the bus"),
            (len(cut.consumers), 1, "readers"),
            (read, MIN_MESSAGES, "messages read by each reader"),
        ),
        wrong=_out_of_order(cut),
        held=f"{messages} messages in the order of their keys, {len(cut.consumers)} readers at the end",
    )


def _out_of_order(cut: Cut) -> Iterator[str]:
    seen: set[str] = set()
    first: dict[str, tuple[int, int]] = {}
    last: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for message in cut.bus.rows:
        at = (message.run, message.n)
        if at < first.setdefault(message.key, at):
            continue  # what it would come again after is no longer in what was read
        # A feeder that was replaced may still have had some on their way: its run is over, readers leave them out.
        if message.id not in seen and message.run == last[message.key][0] and at <= last[message.key]:
            yield f"{message.key}: message {message.n} of run {message.run} lies on the bus after {last[message.key][1]}"
        seen.add(message.id)
        last[message.key] = max(last[message.key], at)
    for name, reader in sorted(cut.consumers.items()):
        yield from _reader(name, reader)


def _reader(name: str, reader: Consumer) -> Iterator[str]:
    if reader.lag:
        yield f"{name}: {reader.lag} behind, and never at the end while it was watched"
    if reader.out_of_order:
        yield f"{name}: {reader.out_of_order} messages after a later one of their key, and none that it knew"
    if reader.malformed:
        yield f"{name}: {reader.malformed} messages that are none"
