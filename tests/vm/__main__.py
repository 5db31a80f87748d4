"""`python -m tests.vm [--only NAME] [--accel auto] [--keep]`: boot the machine, run the list once, print the table."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stormdesk.core.errors import HostError, RefusedError
from tests.vm import cases, image, machine, qemu, table, tools
from tests.vm.machine import Machine
from tests.vm.stage import BOOTED, Stage

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
        with _booted(Machine(programs, disks, folder / "vm", accel), keep=keep) as (host, boot_s):
            for case in chosen:
                results.append(Stage(host, folder).run(case))
                _say(next(table.rows(results[-1:])))
    except HostError as error:
        _say(f"FAILED: {error}")
        return 1
    how = f"Debian 12 in QEMU ({accel}), one processor, {qemu.MEMORY_MIB} MiB; SSH {boot_s:.0f} s after the start."
    (folder / "measured.md").write_text("\n".join([*table.markdown(results, how), ""]))
    _say("\n".join(["", *table.rows(results)]))
    _say(f"What each command said, and the section for docs/measured.md: {folder}")
    return int(not all(it.good for it in results))


@contextmanager
def _booted(host: Machine, *, keep: bool) -> Iterator[tuple[Machine, float]]:
    """A machine with its snapshot, and its boot's seconds; gone at the end. `keep`: not before Ctrl-C."""
    host.vm.mkdir()
    try:
        host.start()
        boot_s = host.wait()
        host.settle()
        host.save(BOOTED)
        _say(f"the machine is up by {host.accel}: SSH after {boot_s:.0f} s")
        yield host, boot_s
        if keep:
            _say(f"kept until Ctrl-C: {' '.join(host.ssh(shared=False))}")
            _until_interrupted()
    finally:
        host.stop()
        shutil.rmtree(host.vm, ignore_errors=True)


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
    sys.exit(main(given.only, given.accel, keep=given.keep))
