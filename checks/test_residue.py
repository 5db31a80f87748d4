"""I-13: nothing of ours is left on any host."""

from __future__ import annotations

import pytest

from stormdesk.checks.plugin import Evidence, Judged
from stormdesk.evidence.judges import JUDGES

pytestmark = pytest.mark.invariant


def test_no_residue(evidence: Evidence, judged: Judged) -> None:
    judged(JUDGES["I-13"](evidence.residue))
