"""python -m tests.fuzz [--for SECONDS] [--target NAME] [--seed N]: mutate the corpus and check that every input is handled.

The time is shared by all targets. An input that is handled wrongly is kept in its corpus, with its error on stderr, and
the exit code is 1: mend what it found, keep the file.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz import mutation
from tests.fuzz.targets import CORPUS, TARGETS, corpus


def fuzz(target: str, for_s: float, seed: int) -> tuple[int, Path | None]:
    """Inputs that were played within `for_s` seconds, and the file of the one that was handled wrongly."""
    random, end, played = Random(f"{seed}/{target}"), time.monotonic() + for_s, 0
    known = [path.read_bytes() for path in corpus(target)]
    while time.monotonic() < end:
        data = mutation.mutated(known, random)
        played += 1
        try:
            TARGETS[target](data)
        except Exception:  # noqa: BLE001  whatever it is, it is what we look for
            traceback.print_exc()
            kept = CORPUS / target / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
            kept.write_bytes(data)
            return played, kept
    return played, None


def main() -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--for", dest="for_s", type=float, default=60.0)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    targets = options.target or sorted(TARGETS)
    worst = 0
    for target in targets:
        played, kept = fuzz(target, options.for_s / len(targets), options.seed)
        found = f"FOUND {kept}" if kept else "nothing found"
        print(
            f"{target}: seed {options.seed}, {played} inputs of {len(corpus(target))} in the corpus: {found}",
            flush=True,
        )
        worst = max(worst, int(kept is not None))
    return worst


if __name__ == "__main__":
    sys.exit(main())
