"""A few seconds of fuzzing for each target with a fixed seed, and all inputs that were ever found. The long run, with a new
seed: `invoke dev.fuzz --for 1h`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import venue
from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import CORPUS, TARGETS, corpus

SHARE_S = {"ledger": 3.0, "venue": 3.0}  # of processor time nearly all; of the others
OTHERS_S = 0.8
SEED = 7


@pytest.mark.parametrize("path", corpus("venue"), ids=lambda path: path.name)
def test_the_corpus_of_the_venue(path: Path) -> None:
    TARGETS["venue"](path.read_bytes())


def test_signed_requests_get_through() -> None:
    """Else nothing but the check of signatures would be fuzzed."""
    kinds = venue.check((CORPUS / "venue" / "orders").read_bytes()) + venue.check(
        (CORPUS / "venue" / "crossing").read_bytes()
    )
    assert min(kinds[kind] for kind in ("Accepted", "Trade", "Canceled", "Expired", "Rejected")) >= 1, kinds


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_moment(target: str, record_property: pytest.RecordProperty) -> None:
    played, kept = fuzz(target, SHARE_S.get(target, OTHERS_S), SEED)
    print(f"{target}: seed {SEED}, {played} inputs")
    record_property("fuzz", f"{target}: seed {SEED}, {played} inputs")
    assert kept is None, f"seed {SEED}, input {played}: {kept}"
    assert played >= (5 if target == "runbook" else 50)  # YAML is slow


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"venue"}))
def test_the_corpus(target: str) -> None:
    for path in corpus(target):
        TARGETS[target](path.read_bytes())
