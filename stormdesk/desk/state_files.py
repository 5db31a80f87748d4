"""The state files and ledgers of the desk as they lie on its disks: each is whole, or the one that is not is named."""

from __future__ import annotations

from typing import Any

import msgspec

from stormdesk.core.errors import ExitCode, StormdeskError
from stormdesk.desk.settling import SETTLE_S
from stormdesk.run.operate import Report
from stormdesk.ssh.pool import Pool
from stormdesk.testnet.ledger import chain
from stormdesk.testnet.orchestrator.state import State
from stormdesk.testnet.trader.gates import breakers, repeats, signatures
from stormdesk.testnet.trader.gates.kill_switch import KillSwitchState
from stormdesk.testnet.trader.gates.pause import PauseState
from stormdesk.testnet.trader.snapshot import Snapshot

FILES: dict[str, dict[str, type[Any]]] = {  # by service, below its folder
    "trader": {
        "positions_snapshot.json": Snapshot,
        "circuit_breaker.json": breakers.Document,
        "execution/kill_switch_state.json": KillSwitchState,
        "execution/pause_state.json": PauseState,
        "execution/repeats_state.json": repeats.Document,
        "runtime/order_sigs.json": signatures.Document,
    },
    "orchestrator": {"state_bus.json": State, "state_bus.json.bak": State},
}
SHOW = 'for f; do [ -e "$f" ] || continue; echo "@@ $f"; cat "$f" && echo; done'
NONE = "no state file was found"
READ_S = 20.0  # a ledger of some MiB


def state_files(pool: Pool) -> Report:
    """Read every state file that is there by its own schema."""
    lines: list[str] = []
    codes = [ExitCode.HELD]
    for name, host in pool.inventory.hosts.items():
        wanted = {
            f"{host.paths['data']}/{service}/{path}": kind
            for service in FILES if service in host.services for path, kind in FILES[service].items()
        }  # fmt: skip
        if not wanted:
            continue
        try:
            said = pool.run(name, ("sh", "-c", SHOW, "sh", *wanted), SETTLE_S).stdout
        except StormdeskError as error:
            lines.append(f"{name}: no answer: {error}")
            codes.append(ExitCode.REFUSED)
            continue
        found = [part.partition("\n")[::2] for part in said.split("@@ ")[1:]]
        wrong = [f"{path}: {why}" for path, text in found if (why := _wrong(text, wanted[path]))]
        wrong += [] if found else [NONE]
        lines.append(f"{name}: {'; '.join(wrong) or f'{len(found)} state files, each whole'}")
        codes += [ExitCode.VIOLATED] if wrong else []
    return Report(ExitCode.worst(*codes), tuple(lines))


def ledgers(pool: Pool) -> Report:
    """Read every trader's ledger and follow its hash chain. Lines that the trader has put aside are known to be bad."""
    lines: list[str] = []
    codes = [ExitCode.HELD]
    for host in pool.inventory.role("trader"):
        path = f"{host.paths['data']}/trader/ledger.jsonl"
        try:
            done = pool.run(host.name, ("cat", path), READ_S)
            aside = pool.run(
                host.name, ("cat", path.replace(".jsonl", ".quarantine")), READ_S
            ).stdout  # none: nothing is
        except StormdeskError as error:
            lines.append(f"{host.name}: no answer: {error}")
            codes.append(ExitCode.REFUSED)
            continue
        records, reading = chain.read(done.stdout.encode())
        wrong = [
            f"line at offset {bad.offset}: {bad.why}" for bad in reading.bad if f'"offset":{bad.offset},' not in aside
        ] + reading.breaks
        wrong += [f"a torn tail of {len(reading.torn)} bytes"] if reading.torn else []
        wrong += [] if done.ok and records else [f"nothing could be read: {done.stderr.strip()[:100]}"]
        lines.append(f"{host.name}: {'; '.join(wrong[:3]) or f'{len(records)} lines, the chain holds'}")
        codes += [ExitCode.VIOLATED] if wrong else []
    return Report(ExitCode.worst(*codes), tuple(lines))


def _wrong(text: str, kind: type[Any]) -> str:
    """Why it is not such a document; "" when it is."""
    try:
        msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        return str(error)
    return ""
