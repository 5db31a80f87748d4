"""The situations of a stack before all judges look at it: the same with a planted bug and without; nothing here knows which.

A situation waits for an event (orders, faulted messages, trades), never for a fixed time; and it continues when a bug prevents the
event."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from redis import Redis

from stormdesk.evidence import cut as cuts
from tests.e2e import stack_cut
from tests.e2e.stack_harness import eventually, get, post
from tests.mutants.bench import Bench

ORDERS = 14  # above the floors of all judges
SILENCES = 3  # each is over, but for the last one, when the next one begins
MISSED = 5  # trades that a dead feeder cannot see
FAULT_S = 60.0  # a fault of the venue ends by then, also when it strikes nobody
GRACE_S, STILL_S = 1.0, 8.0  # a stop counts after the grace; for so long nothing may happen then
SIGNALS = 6
FAR = ({"symbol": "BTCUSDT", "qty": "0.00100", "price": "58000.00"}, {"symbol": "ETHUSDT", "qty": "0.01000", "price": "2900.00"})
VERIFY_S = 2.0  # and two more for the way: less than both together
STOPPED_S = 15.0  # nothing disturbs a stack, it trades ten times a second: what accepts nothing for so long has stopped
RTO_S = 12.0  # of a Redis that comes back; the stack needs two
TRADERS = ("trader-a", "trader-b")
Situation = Callable[[Bench], cuts.Cut]


def wait(check: Callable[[], object], deadline_s: float) -> bool:
    """Has it come true in time? An assertion is not ours to make: the judges say what is wrong."""
    try:
        eventually("it", check, deadline_s)
    except AssertionError:
        return False
    return True


def goes_on(stack: Bench, more: int = ORDERS, which: str = "a", stopped_s: float = 45.0) -> None:
    """Wait until that many more orders are accepted, however slowly; or until none was for `stopped_s`."""
    seen = stack.count("accepted", which)
    goal = seen + more
    while seen < goal and wait(lambda: stack.count("accepted", which) > seen, stopped_s):  # noqa: B023  called at once
        seen = stack.count("accepted", which)


def cut_of(stack: Bench, *traders: str, **meta: Any) -> cuts.Cut:
    """Hold, drain and read."""
    return stack_cut.settled_cut(stack, *(traders or TRADERS[:1]), asked=stack_cut.ASKED, **meta)


@contextmanager
def venue_fault(stack: Bench, name: str, hits: int, **params: str) -> Iterator[None]:
    """A fault of the venue, in for as long as the block takes and until it has struck `hits` times."""
    fault = stack.fault(name, FAULT_S, **params)
    yield
    wait(lambda: stack.hits(fault) >= hits, FAULT_S)
    stack.fault_over(fault)


def trades_at_the_venue(stack: Bench) -> int:
    """How many trades the venue's journal has, whosever they are."""
    return sum(line["kind"] == "TRADE" for line in stack.journal())


def silences(stack: Bench) -> int:
    """How often the venue asked for silence when none was to be kept."""
    count, until = 0, 0.0
    for line in stack.journal():
        if line["kind"] == "THROTTLED" and line["t"] >= until:
            count, until = count + 1, line["until"]
    return count


def trades(stack: Bench) -> cuts.Cut:
    """It trades, and nothing happens to it. Its own reconciliation would stop a trader with a bug before there is enough
    to judge."""
    stack.resilience = {**stack.resilience, "reconcile": {"interval_s": 3600}}
    stack.up()
    goes_on(stack, 2 * ORDERS, stopped_s=STOPPED_S)
    return cut_of(stack)


def lost_answers(stack: Bench) -> cuts.Cut:
    """The venue takes some orders and its answers are lost."""
    stack.resilience = {**stack.resilience, "order": {"request_timeout_s": 1}}
    stack.up()
    goes_on(stack)
    with venue_fault(stack, "drop-response", 3, share="100"):
        pass
    wait(lambda: stack.count("unknown") > 0, 10)
    wait(lambda: not stack.trader("drain")["unknown"], 30)
    goes_on(stack, 3)
    return cut_of(stack)


def told_twice(stack: Bench) -> cuts.Cut:
    """The venue tells every execution two times. As above, its own reconciliation would stop it: what all judges need to
    judge is there before."""
    stack.resilience = {**stack.resilience, "reconcile": {"interval_s": 3600}}
    stack.up()
    goes_on(stack)
    with venue_fault(stack, "duplicate-report", 5, share="100"):
        goes_on(stack)
    return cut_of(stack)


def rate_limit(stack: Bench) -> cuts.Cut:
    """The venue answers 429 and wants four seconds of silence, again and again."""
    stack.up()
    goes_on(stack)
    with venue_fault(stack, "rate-limit", 1, share="30", retry_after="4s"):
        wait(lambda: silences(stack) >= SILENCES, FAULT_S)
    goes_on(stack, 3)
    return cut_of(stack)


def from_outside(stack: Bench) -> None:
    """Signals of somebody else, until each has its order."""
    for number in range(SIGNALS):
        signal = {"signal": f"rests-{number}", "side": "BUY", "type": "LIMIT", **FAR[number % 2]}
        post(stack.url("a", "execution/intents"), signal)
    wait(lambda: sum(line["client_order_id"].startswith("x-ext-") for line in stack.journal() if line["kind"] == "ACCEPTED") >= SIGNALS, 10)


def signals(stack: Bench) -> cuts.Cut:
    """Somebody else's signals come, and all of them come again."""
    stack.up()
    goes_on(stack)
    from_outside(stack)
    from_outside(stack)
    goes_on(stack, 3)
    return cut_of(stack)


def kill_switch(stack: Bench) -> cuts.Cut:
    """The kill switch is thrown, and stays so for longer than anything can be on its way."""
    stack.resilience = {**stack.resilience, "order": {"request_timeout_s": 1}, "kill_switch": {"verify_s": VERIFY_S}}
    stack.up()
    goes_on(stack)
    from_outside(stack)  # far from the market, so that there is something to cancel
    pulled = {"id": "planted", "task": "stack.kill-switch", "by": "a test", "options": {"on": True}}
    stack.orders = [{**pulled, "phase": "ordered", "t": time.time()}]
    post(stack.url("a", "execution/kill-switch/activate"), {"reason": "planted", "by": "a test"})
    stack.orders += [{**pulled, "phase": "done", "t": time.time(), "exit_code": 0}]
    time.sleep(GRACE_S)
    goes_on(stack, 3, stopped_s=STILL_S)  # which must not happen
    return cut_of(stack, grace_s=GRACE_S, verify_s=VERIFY_S)


def paused(stack: Bench) -> cuts.Cut:
    """A person pauses the desk, and a trader is restarted meanwhile."""
    stack.resilience = {**stack.resilience, "order": {"request_timeout_s": 1}}
    stack.up()
    goes_on(stack)
    pause = {"id": "planted", "task": "stack.pause", "by": "a test"}
    stack.orders = [{**pause, "phase": "ordered", "t": time.time()}]
    post(stack.url("a", "execution/pause"), {"reason": "planted", "by": "a test"})
    stack.orders += [{**pause, "phase": "done", "t": time.time(), "exit_code": 0}]
    time.sleep(GRACE_S)
    stack.kill("trader-a")
    stack.start("trader-a")
    wait(lambda: stack.trader("health")["leader"]["is_leader"], 30)
    goes_on(stack, 3, stopped_s=STILL_S)  # which must not happen
    return cut_of(stack, grace_s=GRACE_S)


def two_leaders(stack: Bench) -> cuts.Cut:
    """The leader is paused for longer than its lock lives, and wakes up when the standby leads."""
    stack.resilience = {**stack.resilience, "leader": {"ttl_s": 9, "renew_s": 1}}
    stack.up(standby=True)
    goes_on(stack)
    stack.pause("trader-a")
    wait(lambda: stack.count("accepted", "b") >= 3, 60)
    stack.resume("trader-a")
    wait(lambda: not stack.trader("health")["leader"]["is_leader"], 10)
    goes_on(stack, ORDERS, "b", STOPPED_S)
    return cut_of(stack, *TRADERS)


def handover(stack: Bench) -> cuts.Cut:
    """The leader stops, the standby goes on."""
    stack.up(standby=True)
    goes_on(stack)
    stack.kill("trader-a", signal.SIGTERM)
    goes_on(stack, ORDERS, "b", 60)
    return cut_of(stack, *TRADERS)


def lost_redis(stack: Bench) -> cuts.Cut:
    """Redis goes and comes back empty; trading has to go on within some seconds, by the same processes."""
    stack.up()
    goes_on(stack)
    before = stack_cut.processes(stack, "venue", "feeder", "trader-a")
    stack.servers.kill("redis")
    wait(lambda: not stack.trader("health")["leader"]["is_leader"], 30)
    stack.servers.redis()
    back = time.time()
    ready = wait(lambda: stack.trader("ready")["ready"], RTO_S + 2)
    recovery = {"from": back, "recovered_at": time.time() if ready else None, "rto_s": RTO_S}
    if ready:
        goes_on(stack, 3, stopped_s=10)
    return cut_of(stack, recovery=recovery, processes_before={"processes": before})


def dead_feeder(stack: Bench) -> cuts.Cut:
    """The feeder is killed while trading goes on, and starts again."""
    stack.up()
    goes_on(stack)
    stack.kill("feeder")
    goal = trades_at_the_venue(stack) + MISSED
    wait(lambda: trades_at_the_venue(stack) >= goal, 30)
    stack.start("feeder")
    wait(lambda: stack.trader("ready")["ready"], 45)
    goes_on(stack)
    return cut_of(stack)


def skipped_depth(stack: Bench) -> cuts.Cut:
    """The venue leaves out every third depth message."""
    stack.up()
    with venue_fault(stack, "skip-depth", 10, share="30"):
        goes_on(stack)
    goes_on(stack, 2 * ORDERS)
    wait(lambda: not get(stack.url("feeder", "gaps"))["open"], 30)
    return cut_of(stack)


def bus_repeats(stack: Bench) -> cuts.Cut:
    """What lies on the bus is put there once more: as a feeder does that got no answer."""
    stack.up()
    goes_on(stack)
    bus = Redis(port=stack.port["redis"])
    for _, fields in reversed(bus.xrevrange("md", count=20)):
        bus.xadd("md", fields)
    bus.close()
    goes_on(stack)
    return cut_of(stack)


def corrupt_ledger(stack: Bench) -> cuts.Cut:
    """Bytes of the ledger are overwritten while its trader is down."""
    stack.up()
    goes_on(stack)
    stack.kill("trader-a", signal.SIGTERM)
    path = stack.ledger_path()
    lines = path.read_bytes().split(b"\n")
    number = next(i for i, line in enumerate(lines) if i > 10 and json.loads(line)["kind"] == "ACK")
    lines[number] = b"\xff" * len(lines[number])
    path.write_bytes(b"\n".join(lines))
    stack.start("trader-a")
    stack.trading(more=ORDERS, deadline_s=90)
    return cut_of(stack)


def power_cut(stack: Bench) -> cuts.Cut:
    """The power of the trader's disk goes: what counts is what its medium holds, not what was in memory."""
    disk = stack.put_on_disk("trader-a", 32)
    stack.up()
    goes_on(stack)
    disk.run("sync", "-f", str(disk.mounted))
    goes_on(stack)
    stack.quiet(deadline_s=60)
    shutil.copy(stack.home / "disk.ext4", stack.home / "medium.ext4")
    files = stack_cut.read_files(stack, "trader-a", asked=stack_cut.ASKED)
    script = 'mount -n -t ext4 -o loop "$1" /mnt && cat /mnt/data/ledger.jsonl'
    words = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(stack.home / "medium.ext4")]
    held = subprocess.run(words, check=True, capture_output=True, timeout=30).stdout
    files[cuts.ledger_name("trader-a")] = held[: held.rfind(b"\n") + 1]
    return cuts.parse(files)


SITUATIONS: Mapping[str, Situation] = {
    "trades": trades,
    "lost-answers": lost_answers,
    "told-twice": told_twice,
    "rate-limit": rate_limit,
    "kill-switch": kill_switch,
    "paused": paused,
    "signals": signals,
    "two-leaders": two_leaders,
    "handover": handover,
    "lost-redis": lost_redis,
    "dead-feeder": dead_feeder,
    "skipped-depth": skipped_depth,
    "bus-repeats": bus_repeats,
    "corrupt-ledger": corrupt_ledger,
    "power-cut": power_cut,
}
