"""The exit code of `invoke check.*`: dirty or unknown, then violated, then held; no result is not a pass."""

from __future__ import annotations

import pytest

from stormdesk.cli.check_tasks import exit_code
from stormdesk.core.errors import ExitCode
from stormdesk.core.model import CheckResult, Verdict


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ({}, ExitCode.DIRTY),
        ({"I-01": Verdict.HELD, "I-13": Verdict.HELD}, ExitCode.HELD),
        ({"I-01": Verdict.VIOLATED, "I-13": Verdict.HELD}, ExitCode.VIOLATED),
        ({"I-01": Verdict.HELD, "I-13": Verdict.VIOLATED}, ExitCode.DIRTY),
        ({"I-01": Verdict.VIOLATED, "I-02": Verdict.UNKNOWN}, ExitCode.DIRTY),
    ],
)
def test_the_worst_result_counts(verdicts: dict[str, Verdict], code: ExitCode) -> None:
    assert exit_code([CheckResult(name, verdict, "") for name, verdict in verdicts.items()]) is code
