"""The targets of fuzzing: a check of bytes and a corpus of files for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz import documents, ledger, venue

CORPUS = Path(__file__).parent / "corpus"
TARGETS: Mapping[str, Callable[[bytes], object]] = {
    "answer": documents.answer,
    "inventory": documents.inventory,
    "ledger": ledger.check,
    "record": documents.record,
    "runbook": documents.book,
    "venue": venue.check,
}


def corpus(target: str) -> list[Path]:
    """The files of a target's corpus."""
    return sorted((CORPUS / target).iterdir())
