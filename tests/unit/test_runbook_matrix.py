"""One runbook file in several variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormdesk.cli import runbooks
from stormdesk.core.errors import UsageError
from stormdesk.core.runbook import Runbook, Vocabulary, variants
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS

STEP = 'steps: [{fault: net-latency, host: ops, network: core, for: "${for}", delay: 100ms}]'


def book(*lines: str, step: str = STEP) -> list[Runbook]:
    text = "\n".join(["```yaml", "title: For ${for}", "rto_s: 30", step, *lines, "```"])
    return variants(text, "book.md", Vocabulary(FAULTS, tuple(JUDGES)))


def test_each_value_makes_a_variant_with_its_own_scenario() -> None:
    found = book("matrix: {for: [3s, 10s, 30s]}", "scenario: [N-01, N-02, N-03]")
    assert [(each.variant, each.scenarios, each.title, each.faults[0].hold_s) for each in found] == [
        ("3s", ("N-01",), "For 3s", 3), ("10s", ("N-02",), "For 10s", 10), ("30s", ("N-03",), "For 30s", 30),
    ]  # fmt: skip


def test_a_text_of_scenarios_is_that_of_all_variants_and_an_entry_may_have_several() -> None:
    assert [each.scenarios for each in book("matrix: {for: [3s, 10s]}", "scenario: R-01")] == [("R-01",), ("R-01",)]
    several = book("matrix: {for: [3s, 10s]}", "scenario: [[N-01, R-01], N-02]")
    assert [each.scenarios for each in several] == [("N-01", "R-01"), ("N-02",)]


def test_names_are_crossed_the_last_one_fastest() -> None:
    step = STEP.replace("host: ops", 'host: "${where}"')
    found = book("matrix: {for: [3s, 10s], where: [ops, store]}", step=step)
    assert [each.variant for each in found] == ["3s-ops", "3s-store", "10s-ops", "10s-store"]
    assert [each.faults[0].hosts for each in found] == [("ops",), ("store",), ("ops",), ("store",)]


def test_rows_have_values_that_belong_together() -> None:
    rows = "matrix: [{scenario: N-04, for: 3s, late: 10s}, {scenario: [N-07, K-03], name: long, for: 5s, late: 30s}]"
    found = book(rows, "hypothesis: at the latest after ${late}")
    assert [(each.variant, each.scenarios, each.hypothesis) for each in found] == [
        ("3s-10s", ("N-04",), "at the latest after 10s"), ("long", ("N-07", "K-03"), "at the latest after 30s"),
    ]  # fmt: skip


def test_without_a_matrix_nothing_is_replaced() -> None:
    (only,) = book(step=STEP.replace("${for}", "3s"))
    assert (only.variant, only.title) == ("", "For ${for}")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["matrix: 3s"], r"5:9 matrix: expected names with their values, or a list of rows"),
        (["matrix: {}"], r"5:9 matrix: makes 0 variants: must be 1 to 100"),
        (["matrix: {for: []}"], r"5:9 matrix: makes 0 variants"),
        (["matrix: {for: 3s}"], r"5:15 matrix\.for: expected a list"),
        (["matrix: {for: [3s, 3s]}"], r"5:9 matrix: two variants are called 3s"),
        (["matrix: {for: [3s, 4]}"], r"4:61 steps\[0\]\.for: 4: "),
        (["matrix: {fo r: [3s]}"], r"5:10 matrix: 'fo r' is no name"),
        (["matrix: {name: [3s]}"], r"5:10 matrix: name belongs to a row"),
        (["matrix: {four: [3s]}"], r"2:8 title: no 'for' in the matrix\. Known: four"),
        (["matrix: {for: [3s], to: [a]}"], r"5:9 matrix\.to: is not used: there is no \$\{to\} anywhere"),
        (["matrix: [{for: 3s}, {to: 3s}]"], r"5:21 matrix\[1\]: must have the names of the first row: for"),
        (["matrix: [{for: 3s, for: 4s}]"], r"5:20 matrix: for is given twice"),
        (["matrix: [3s]"], r"5:10 matrix\[0\]: expected names with their values"),
        (["matrix: [{for: 3s, name: 'a b'}]"], r"5:10 matrix: 'a b' is no name for a variant"),
        (["matrix: {for: [3s, 4s]}", "scenario: [N-01]"], r"6:11 scenario: has 1 for 2 variants: 3s, 4s\. Give each its own"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_matrix_is_an_error_with_its_place(lines: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        book(*lines)


def test_a_value_without_quotes_in_braces_is_an_error_that_says_so() -> None:
    with pytest.raises(UsageError, match=r"^book\.md:4:.* not YAML: .*Inside \{ \} a \$\{name\} needs quotes"):
        book("matrix: {for: [3s]}", step=STEP.replace('"', ""))


def test_a_name_means_all_variants_or_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "days").mkdir()
    text = f"```yaml\ntitle: T\nrto_s: 30\n{STEP}\nmatrix: {{for: [3s, 10s]}}\n```"
    (tmp_path / "days/partition.md").write_text(text)
    (tmp_path / "invoke.yaml").write_text("stormdesk: {runbooks: [days]}\n")
    monkeypatch.chdir(tmp_path)
    assert [entry.name for entry in runbooks.chosen("partition")] == ["partition[3s]", "partition[10s]"]
    assert [entry.book.faults[0].hold_s for entry in runbooks.chosen("partition[10s]")] == [10]
    assert [entry.name for entry in runbooks.chosen("days/partition.md[3s]")] == ["partition[3s]"]
    with pytest.raises(UsageError, match=r"partition\[4s\]: no such variant\. There is: 3s, 10s$"):
        runbooks.chosen("partition[4s]")
    with pytest.raises(UsageError, match=r"There is: one, without a name"):
        runbooks.chosen("kill-feeder[4s]")
