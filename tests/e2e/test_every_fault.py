"""Every fault of the catalogue on a trading lab, by its own example: it takes effect, a peer confirms it, it leaves nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stormdesk.cli.abilities import abilities
from stormdesk.cli.api import Chaos
from stormdesk.cli.options import Options
from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example
from stormdesk.core.safety import Allow
from stormdesk.faults import FAULTS
from stormdesk.run.record import load
from stormdesk.witness import KINDS
from tests.e2e.catalogue_page import HEAD, PAGE, Seen, mechanisms, rows

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def chaos(lab: str) -> Iterator[Chaos]:
    with Chaos(env=lab) as opened:
        yield opened


def shown(chaos: Chaos, example: Example) -> bool:
    return bool(re.search(example.shows, chaos.pool.run(example.host, example.look, 10).stdout, re.MULTILINE))


# No service of the lab runs with libfaketime (tests/shell/test_bite_clock.py); a restart has its own tests (test_reboots.py).
SEEN: dict[str, Seen] = {}
NOT_HERE = {"clock-skew", "host-reboot"}


@pytest.mark.parametrize("name", sorted(set(FAULTS) - NOT_HERE))
def test_an_example_takes_effect_and_is_undone(chaos: Chaos, name: str) -> None:
    examples = [example for example in FAULTS[name].example(chaos.inventory) if not example.cuts]
    assert examples, "nothing to try it on"
    example = next((each for each in examples if each.host == "trader-b"), examples[0])
    assert not shown(chaos, example)
    allow = Allow(irreversible=example.irreversible)
    with chaos.inject(name, host=example.host, hold_s=1, allow=allow, **example.parameters) as fault:
        assert shown(chaos, example)
        assert fault.evidence[example.host]
    assert not shown(chaos, example)
    assert (fault.outcome.exit_code, fault.outcome.residue) == (0, "clean")
    plan = json.loads((fault.folder / "plan.json").read_text())[0]
    asked = [plan["control"]["peer"]] if plan["control"]["peer"] else []
    seen = [event for event in load(fault.folder) if event["event"] == "witness.peer"]
    assert [event.get("agrees", event.get("why")) for event in seen] == [True] * (len(asked) + len(plan["proof"]["peers"]))
    chaos.recovered(budget_s=60)
    kinds = {tuple(peer["argv"]): peer for peer in (*asked, *plan["proof"]["peers"])}
    SEEN[name] = Seen(
        plan["change"]["mechanism"],
        fault.evidence[example.host],
        "; ".join(said(event, kinds[tuple(event["argv"])]) for event in seen),
    )


def said(event: Mapping[str, Any], peer: Mapping[str, Any]) -> str:
    """What another host saw, in its witness's words."""
    evidence = KINDS[peer["kind"]].judge(event["before"], event["measured"], peer["expected"])
    return f"{event['host']} {evidence.text}"


def test_the_page_of_the_catalogue_has_what_was_seen(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-catalogue"):
        PAGE.write_text(HEAD + rows(SEEN))
    page = mechanisms(PAGE.read_text())
    assert set(page) == set(FAULTS) - NOT_HERE
    assert {name: page[name] for name in SEEN} == {name: each.mechanism for name, each in SEEN.items()}


def test_a_host_of_the_lab_can_do_all_but_these(lab: str) -> None:
    report = abilities(Options(env=lab), "trader-b")
    assert [each.fault for each in report.found] == sorted(FAULTS)
    assert {each.fault for each in report.found if each.why_not or each.untried} == NOT_HERE - {"host-reboot"}  # planned only
    (clock,) = [line for line in report.lines if line.startswith("clock-skew")]
    assert "not tried: clock-skew needs one of --service" in clock
    ways = {each.fault: each for each in report.found}
    assert ways["net-bandwidth"].mechanism == "tbf"
    assert ways["power-cut"].irreversible
    assert f"{'net-bandwidth':<19}by tbf" in report.lines
    with pytest.raises(UsageError, match="nobody"):
        abilities(Options(env=lab), "nobody")
