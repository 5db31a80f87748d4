"""What a stack is put through before all judges look at it. The same with a planted bug and without; nothing here knows
which. A situation may wait for what a healthy stack does, but must end when a bug keeps it from happening."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from stormdesk import cut as cuts
from tests.e2e import stack_cut
from tests.e2e.stack_harness import eventually
from tests.mutants.bench import Bench

ORDERS = 14  # above the floors of all judges
Situation = Callable[[Bench], cuts.Cut]


def wait(check: Callable[[], object], deadline_s: float) -> bool:
    """Has it come true in time? An assertion is not ours to make: the judges say what is wrong."""
    try:
        eventually("it", check, deadline_s)
    except AssertionError:
        return False
    return True


def trades(stack: Bench) -> cuts.Cut:
    """It trades, and nothing happens to it."""
    stack.up()
    stack.trading(more=ORDERS)
    return stack_cut.settled_cut(stack, "trader-a", asked=stack_cut.ASKED)


def frozen_venue(stack: Bench) -> cuts.Cut:
    """The venue hangs until requests time out, then answers on: it had them all."""
    stack.up()
    stack.trading(more=ORDERS)
    stack.pause("venue")
    wait(lambda: stack.count("unknown") > 0, 12)
    stack.resume("venue")
    wait(lambda: not stack.trader("drain")["unknown"], 20)
    stack.trading()
    return stack_cut.settled_cut(stack, "trader-a", asked=stack_cut.ASKED)


def two_leaders(stack: Bench) -> cuts.Cut:
    """The leader is paused for longer than its lock lives, and wakes up when the standby leads."""
    stack.resilience = {**stack.resilience, "leader": {"ttl_s": 3, "renew_s": 1}}
    stack.up(standby=True)
    stack.trading(more=ORDERS)
    stack.pause("trader-a")
    wait(lambda: stack.count("accepted", "b") >= 3, 25)
    stack.resume("trader-a")
    goal = stack.count("accepted", "b") + ORDERS
    wait(lambda: stack.count("accepted", "b") >= goal, 10)
    return stack_cut.settled_cut(stack, "trader-a", "trader-b", asked=stack_cut.ASKED)


def lost_redis(stack: Bench) -> cuts.Cut:
    """Redis goes and comes back empty; trading has to go on within some seconds, by the same processes."""
    stack.up()
    stack.trading(more=ORDERS)
    names = ("venue", "feeder", "trader-a")
    before = stack_cut.processes(stack, *names)
    stack.servers.kill("redis")
    wait(lambda: not stack.trader("health")["leader"]["is_leader"], 10)
    stack.servers.redis()
    back = time.time()
    took = None
    if wait(lambda: stack.trader("ready")["ready"], 12):
        took = time.time()
        stack.trading(more=3)
    recovery = {"from": back, "recovered_at": took, "rto_s": 10.0}
    known = {"recovery": recovery, "processes_before": {"processes": before}}
    return stack_cut.settled_cut(stack, "trader-a", asked=stack_cut.ASKED, **known)


def corrupt_ledger(stack: Bench) -> cuts.Cut:
    """Bytes of the ledger are overwritten while its trader is down."""
    stack.up()
    stack.trading(more=ORDERS)
    stack.kill("trader-a", signal.SIGTERM)
    path = stack.ledger_path()
    lines = path.read_bytes().split(b"\n")
    number = next(i for i, line in enumerate(lines) if i > 10 and json.loads(line)["kind"] == "ACK")
    lines[number] = b"\xff" * len(lines[number])
    path.write_bytes(b"\n".join(lines))
    stack.start("trader-a")
    stack.trading(more=ORDERS)
    return stack_cut.settled_cut(stack, "trader-a", asked=stack_cut.ASKED)


def power_cut(stack: Bench) -> cuts.Cut:
    """The power of the trader's disk goes: what counts is what its medium holds, not what was in memory."""
    disk = stack.put_on_disk("trader-a", 32)
    stack.up()
    stack.trading(more=ORDERS)
    disk.run("sync", "-f", str(disk.mounted))
    stack.trading(more=ORDERS)
    stack.quiet()
    shutil.copy(stack.home / "disk.ext4", stack.home / "medium.ext4")
    files = stack_cut.read_files(stack, "trader-a", asked=stack_cut.ASKED)
    script = 'mount -n -t ext4 -o loop "$1" /mnt && cat /mnt/data/ledger.jsonl'
    words = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(stack.home / "medium.ext4")]
    held = subprocess.run(words, check=True, capture_output=True, timeout=30).stdout
    files[cuts.ledger_name("trader-a")] = held[: held.rfind(b"\n") + 1]
    return cuts.parse(files)


SITUATIONS: Mapping[str, Situation] = {
    "trades": trades,
    "frozen-venue": frozen_venue,
    "two-leaders": two_leaders,
    "lost-redis": lost_redis,
    "corrupt-ledger": corrupt_ledger,
    "power-cut": power_cut,
}
