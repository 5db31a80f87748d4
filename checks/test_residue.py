"""I-13: nothing of ours is left on any host."""

from __future__ import annotations

import pytest

from stormdesk import invariants
from stormdesk.checks.plugin import Evidence, Judged

pytestmark = pytest.mark.invariant


def test_no_residue(evidence: Evidence, judged: Judged) -> None:
    judged(invariants.i13(evidence.residue))
