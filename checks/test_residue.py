"""I-13: nothing of ours is left on any host."""

from __future__ import annotations

import pytest

from stormdesk.checks.plugin import Judged
from stormdesk.evidence import judging_run
from stormdesk.evidence.gathered import Evidence

pytestmark = pytest.mark.invariant


def test_no_residue(evidence: Evidence, judged: Judged) -> None:
    judged(judging_run.residue(evidence))
