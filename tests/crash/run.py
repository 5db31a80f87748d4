"""`python -m tests.crash.run --kills 200`: kill the controller at every step of real runs; every host must heal."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from tests.crash.series import Series, document, lab, table


def main(
    kills: int, seed: int = 0, out: str = "", say: Callable[[str], None] = print, *, watchdogs: bool = False
) -> int:
    """0: every host healed after each of `kills` kills, and enough was seen; else 1. `out`: a file for the JSON. With `watchdogs`
    one of the host's two is killed with each controller."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="stormdesk-crash-") as folder,
        mock.patch.dict(os.environ, {"STORMDESK_HOME": f"{folder}/home"}),
        lab(f"crash-{os.getpid()}", say) as place,
    ):
        series = Series(place, Path(folder, "runs"), say, watchdogs)
        series.go(kills, seed)
    for line in [*table(series.kills), "", *series.short(), *series.problems]:
        say(line)
    dead = f" and {sum(bool(killed.watchdog) for killed in series.kills)} watchdogs" if watchdogs else ""
    say(
        f"{len(series.kills)} kills{dead}, and {len(series.misses)} tries that came to none, in {time.monotonic() - began:.0f} s, "
        f"seed {seed}; clean from the deadline: p99 {series.p99_s():+.1f} s"
    )
    if out:
        Path(out).write_text(json.dumps(document(series), indent=1) + "\n")
    return int(bool(series.short() or series.problems))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", default="", metavar="FILE", help="write every kill to this file")
    options.add_argument(
        "--watchdogs", action="store_true", help="kill one of the host's watchdogs with each controller"
    )
    given = options.parse_args()
    sys.exit(main(given.kills, given.seed, given.json, lambda line: print(line, flush=True), watchdogs=given.watchdogs))
