"""`python -m tests.vm [--only NAME] [--accel auto] [--keep]`: boot the machine, run the list once, print the table."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stormdesk.core.errors import HostError, RefusedError
from stormdesk.infra import making
from tests.vm import cases, image, machine, qemu, table, tools
from tests.vm.machine import Machine
from tests.vm.stage import Stage

SKIPPED = 77  # what test harnesses take for "skipped"


def main(only: Sequence[str], asked: str, *, keep: bool) -> int:
    """0: all held, or failed as expected; 1: not so; 2: a wrong word; 77: skipped, no machine can be had here."""
    try:
        chosen, accel = cases.chosen(only), machine.accelerator(asked)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        programs, disks = tools.ensure(_say), image.ensure(_say)
    except RefusedError as error:
        print(f"skipped: no machine can be had here: {error}", file=sys.stderr)
        return SKIPPED
    folder = Path(tempfile.mkdtemp(prefix="stormdesk-vm-"))
    results = []
    try:
        with _booted(Machine(programs, disks, folder / "vm", accel), keep=keep) as host:
            for case in chosen:
                results.append(Stage(host, folder).run(case))
                _say(next(table.rows(results[-1:])))
    except HostError as error:
        _say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        _say("stopped; the machine is gone")
        return 1
    how = f"Debian 12 in QEMU ({accel}), one processor, {qemu.MEMORY_MIB} MiB."
    (folder / "measured.md").write_text("\n".join([*table.markdown(results, how), ""]))
    _say("\n".join(["", *table.rows(results)]))
    _say(f"What each command said, and the section for docs/measured.md: {folder}")
    return int(not all(it.good for it in results))


@contextmanager
def _booted(host: Machine, *, keep: bool) -> Iterator[Machine]:
    """The machine as it was after its boot, which is done once and kept; gone at the end. `keep`: not before Ctrl-C."""
    state = image.booted(host.disks, host.tools, host.accel)
    try:
        if not state.exists():
            host.start()
            _say(f"booted by {host.accel}: SSH after {host.wait():.0f} s")
            host.settle()
            host.keep_booted(state)
        making.in_use(state)
        host.start(state)
        _say(f"the machine goes on from {state}: SSH after {host.wait():.0f} s")
        yield host
        if keep:
            _say(f"kept until Ctrl-C: {' '.join(host.ssh(shared=False))}")
            _until_interrupted()
    finally:
        host.stop()


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        pass


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", action="append", default=[], metavar="NAME", help="this case; again for more")
    options.add_argument("--accel", default="auto", choices=("auto", "tcg", "kvm"))
    options.add_argument("--keep", action="store_true", help="leave the machine running until Ctrl-C")
    given = options.parse_args()
    for ends in (signal.SIGINT, signal.SIGTERM):  # a shell starts what is in the background with SIGINT ignored
        signal.signal(ends, signal.default_int_handler)
    sys.exit(main(given.only, given.accel, keep=given.keep))
