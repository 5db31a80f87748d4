"""The ids of runs and of their parts, as hosts know them. Pure.

A run of one fault is known to its hosts by its own id, `r-20261121-0312-4fa9c1`. A run of several faults gives each a letter more,
`r-20261121-0312-4fa9c1b`: a host may hold two of them, and no id is the start of another one that it holds.
"""

from __future__ import annotations

from string import ascii_lowercase, digits

LETTERS = ascii_lowercase + digits
LENGTH = len("r-20261121-0312-4fa9c1")


def part(run_id: str, number: int, of: int) -> str:
    """The id of fault `number` (from 0) `of` so many. Raises ValueError for more faults than there are letters."""
    if of > len(LETTERS):
        raise ValueError(f"{of} faults in one run: at most {len(LETTERS)}")
    return run_id if of == 1 else run_id + LETTERS[number]


def whole(run_id: str) -> str:
    """The id of the run that a host's record belongs to."""
    return run_id[:LENGTH]
