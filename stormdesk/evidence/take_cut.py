"""Takes a consistent cut of a trading stack (docs/formats/cut.md) and reads a recorded one back.

New intents are held, what is in flight drains, every source is read, trading resumes: also after an error, and by
itself after 60 s if we die. Open orders go on trading meanwhile, so a reading counts only when the venue did nothing
for the desk while it was taken and PostgreSQL has heard of all it did before; else it is taken again, until the drain's
deadline. What the last reading says is then judged as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from stormdesk.core.errors import HostError, StormdeskError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.evidence import cut as cuts
from stormdesk.evidence import find_residue, service_processes
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Before, FaultWindow, Recovery, StateFile
from stormdesk.evidence.judges import DRAIN_S
from stormdesk.evidence.stack_readers import Files, Stack
from stormdesk.ssh.parallel import Run, each

POLL_S = 0.1
ASKED = ("epochs", "state-files", "throttling")  # besides what every cut has: see stormdesk.evidence.judges.NEEDS


@dataclass(frozen=True)
class RunFacts:
    """What only the run can say: its fault and recovery, what was left on each host, the processes before.

    What `run_id` left on a host is residue, whatever state its record is in. `marks` are what hosts had before that looks like a
    fault's and is not (`find_residue.marks`).
    """

    run_id: str = ""
    fault: FaultWindow | None = None
    recovery: Recovery | None = None
    diffs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    before: Before | None = None
    marks: Mapping[str, Sequence[str]] | None = None


NO_RUN = RunFacts()


@dataclass
class _Reading:
    """What has been read so far, and what could not be. The journal only grows; the rest is read anew each time."""

    files: Files = field(default_factory=dict)
    state_files: dict[str, dict[str, StateFile]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


def take(run: Run, inventory: Inventory, folder: Path, facts: RunFacts = NO_RUN) -> Cut:
    """Take a cut and write it to `folder`, which must be new or empty.

    `run` runs a command on a host of `inventory`. A source that cannot be read is left out, with the reason in
    `unread.json`. Raises UsageError when the inventory has no trading stack or the folder is in use.
    """
    stack = Stack(run, inventory)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder} holds something already: a cut needs a folder of its own")
    reading = _Reading()
    started = time.time()
    until = time.monotonic() + DRAIN_S
    with _held(stack, reading):
        began = time.monotonic()
        left = _drain(stack, until)
        drain_s = None if left else round(time.monotonic() - began, 3)
        _read(stack, reading, until)
    ended = time.time()
    _read_bus(stack, reading)
    numbers = _numbers(stack, reading)
    _read_orders(stack, reading)
    reading.files["residue.json"] = _json(find_residue.look(run, inventory, facts.diffs, facts.run_id, facts.marks))
    if facts.before is not None:
        reading.files["processes.json"] = _json(service_processes.look(run, inventory))
    meta = _meta(inventory, stack.traders, facts)
    meta |= {
        "asked": (*ASKED, *(["feeder"] if stack.feeder else []), *(["bus"] if stack.redis else []), *(["operators"] if stack.ops else [])),
        "drain_s": drain_s, "left": left, **numbers, "hold": {"started": started, "ended": ended},
        "one_clock": all(inventory.hosts[name].shares_kernel for name in (*stack.traders, stack.venue.name)),
    }  # fmt: skip
    reading.files["meta.json"] = _json(meta)
    return _write(reading, folder)


def _numbers(stack: Stack, reading: _Reading) -> dict[str, object]:
    """What the traders are configured with, for the judges that go by it."""
    try:
        found = stack.configured()
    except StormdeskError as error:
        reading.unread["configuration"] = str(error)
        return {"retry": None}
    return {"retry": msgspec.to_builtins(found.retry), "verify_s": found.kill_switch.verify_s}


def _read_orders(stack: Stack, reading: _Reading) -> None:
    """What operators have ordered."""
    if stack.ops is not None:
        try:
            reading.files["operators.jsonl"] = stack.operators()
        except StormdeskError as error:
            reading.unread["operators.jsonl"] = str(error)


def residue_only(run: Run, inventory: Inventory, facts: RunFacts = NO_RUN) -> Cut:
    """A cut that knows of the hosts' residue and nothing else; nothing is held for it."""
    now = time.time()
    meta = _meta(inventory, [], NO_RUN) | {"drain_s": None, "hold": {"started": now, "ended": now}}
    found = find_residue.look(run, inventory, facts.diffs, facts.run_id, facts.marks)
    return cuts.parse({"meta.json": _json(meta), "residue.json": _json(found)})


def _meta(inventory: Inventory, traders: list[str], facts: RunFacts) -> dict[str, object]:
    return {
        "t": time.time(), "environment": inventory.environment, "hosts": sorted(inventory.hosts), "traders": traders,
        "recovery": msgspec.to_builtins(facts.recovery), "fault": msgspec.to_builtins(facts.fault),
        "processes_before": msgspec.to_builtins(facts.before),
    }  # fmt: skip


def load(folder: Path) -> Cut:
    """A recorded cut. Raises UsageError when there is none."""
    try:
        return cuts.parse({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    except OSError as error:
        raise UsageError(
            f"no cut at {folder}: {error.strerror}. A run keeps its own in runs/<id>/outputs/cut"
        ) from error


@contextmanager
def _held(stack: Stack, reading: _Reading) -> Iterator[None]:
    """New intents are held on every trader; whatever happens, each is told to resume."""
    try:
        for name, answer in each(stack.traders, lambda trader: stack.ask(trader, "POST", "/hold")).items():
            if isinstance(answer, StormdeskError):
                reading.unread[f"hold {name}"] = str(answer)
        yield
    finally:
        for name, answer in each(stack.traders, lambda trader: stack.ask(trader, "POST", "/resume")).items():
            if isinstance(answer, StormdeskError):
                reading.unread[f"resume {name}"] = str(answer)


def _drain(stack: Stack, until: float) -> dict[str, dict[str, int]]:
    """Wait until nothing is in flight on any trader; what was left at the deadline, by host."""
    while True:
        answers = each(stack.traders, lambda trader: _in_flight(stack.ask(trader, "GET", "/drain")))
        left = {name: {"no answer": 1} if isinstance(a, StormdeskError) else a for name, a in answers.items() if a}
        if not left or time.monotonic() >= until:
            return left
        time.sleep(POLL_S)


def _in_flight(answer: bytes) -> dict[str, int]:
    """What is not zero in an answer of /drain. Raises HostError when the trader is not holding."""
    try:
        counts = msgspec.json.decode(answer, type=dict[str, int | bool])
    except msgspec.DecodeError as error:
        raise HostError(f"/drain: {error}") from error
    if counts.pop("held", False) is not True:
        raise HostError("/drain: the trader is not holding")
    return {key: int(count) for key, count in counts.items() if count}


def _read(stack: Stack, reading: _Reading, until: float) -> None:
    """Read every source, until a reading counts or the deadline passes; the venue first and last. Where a source is silent,
    market data that is still on its way is waited for all the same: the feeder is not to be blamed for others."""
    whole = _read_venue(stack, reading) is not None
    while True:
        whole = _read_rest(stack, reading) and whole
        fresh = _read_venue(stack, reading) if whole else 0
        there = cuts.settled if whole else cuts.market_data_came
        if fresh is None or (not fresh and there(cuts.parse(reading.files))) or time.monotonic() >= until:
            return


def _read_venue(stack: Stack, reading: _Reading) -> int | None:
    """Add what is new in the venue's journal, and its balances; how many new lines are about the desk."""
    known = reading.files.get("venue.jsonl", b"")
    try:
        fresh, balances = stack.journal(cuts.last_seq(known))
    except StormdeskError as error:
        reading.unread["venue.jsonl"] = str(error)
        return None
    reading.files |= {"venue.jsonl": known + fresh, "balances.json": balances}
    return cuts.about_the_desk(fresh)


def _read_rest(stack: Stack, reading: _Reading) -> bool:
    """PostgreSQL and the ledgers, all at once. False when one of them could not be read."""

    def trader(name: str) -> Files:
        files, reading.state_files[name] = stack.trader(name)
        return files

    asked: dict[str, Callable[[], Files]] = {"PostgreSQL": stack.tables}
    for name in stack.traders:
        asked[cuts.ledger_name(name)] = partial(trader, name)
    if stack.feeder:
        asked["market data"] = stack.market_data
    answers = each(asked, lambda name: asked[name]())
    for name, answer in answers.items():
        if isinstance(answer, StormdeskError):
            reading.unread[name] = str(answer)
        else:
            reading.files |= answer
    reading.files["state-files.json"] = _json(reading.state_files)
    return not any(isinstance(answer, StormdeskError) for answer in answers.values())


def _read_bus(stack: Stack, reading: _Reading) -> None:
    """What lies on the bus and how far its readers are: market data flows whether or not trading is held."""
    try:
        reading.files |= stack.bus() if stack.redis else {}
    except StormdeskError as error:
        reading.unread["bus"] = str(error)


def _write(reading: _Reading, folder: Path) -> Cut:
    if reading.unread:
        reading.files["unread.json"] = _json(reading.unread)
    for name, data in reading.files.items():
        (folder / name).write_bytes(data)
    return cuts.parse(reading.files)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
