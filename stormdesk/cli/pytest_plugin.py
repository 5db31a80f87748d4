"""The pytest plugin (entry point `stormdesk`): fixtures to break hosts in tests of your own. docs/own-tests.md.

It costs nothing when unused: fixtures import what they need on first use.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stormdesk.cli.api import Chaos
    from stormdesk.core.model import CheckResult

MARKERS = {
    "chaos": "breaks hosts of an environment, and heals them",
    "tier1": "must hold before anything goes live",
    "tier2": "must hold before a release",
    "tier3": "must hold before the quarter ends",
    "tier4": "explores",
}


@dataclass(frozen=True, kw_only=True)
class ChaosConfig:
    """The fixtures' settings: `env` or `inventory` as on the command line, the recovery budget, the seed of all choices."""

    env: str = ""
    inventory: str = ""
    rto_s: float = 30.0
    seed: int = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stormdesk")
    for name, text in {
        "env": "the environment to break; default: STORMDESK_ENV, else the only one",
        "inventory": "hosts instead of an environment: FILE, ansible:FILE, ssh-config:FILE, pulumi:STACK",
        "seed": "seed of all random choices; default: random; a failed test shows it",
    }.items():
        group.addoption(f"--chaos-{name}", default="", metavar=name.upper(), help=text)
        parser.addini(f"chaos_{name}", text, default="")


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")


def _setting(config: pytest.Config, name: str) -> str:
    return str(config.getoption(f"--chaos-{name}") or config.getini(f"chaos_{name}"))


@pytest.fixture(scope="session")
def chaos_config(pytestconfig: pytest.Config) -> ChaosConfig:
    """From the options --chaos-env, --chaos-inventory, --chaos-seed or the ini settings chaos_env ...; override the fixture for others."""
    seed = _setting(pytestconfig, "seed") or str(secrets.randbelow(2**32))
    if not seed.isdigit():
        raise pytest.UsageError(f"--chaos-seed {seed}: must be a whole number, e.g. 7")
    return ChaosConfig(env=_setting(pytestconfig, "env"), inventory=_setting(pytestconfig, "inventory"), seed=int(seed))


@pytest.fixture(scope="session")
def chaos(chaos_config: ChaosConfig) -> Iterator[Chaos]:
    """`with chaos.inject("<fault>", host="trader-a", hold_s=3):` -- see stormdesk.cli.api.Chaos."""
    from stormdesk.cli.api import Chaos
    from stormdesk.core.errors import StormdeskError

    try:
        there = Chaos(chaos_config.env, chaos_config.inventory, rto_s=chaos_config.rto_s, seed=chaos_config.seed)
    except StormdeskError as error:
        pytest.fail(str(error), pytrace=False)
    with there:
        yield there


@pytest.fixture
def recovery_timer(chaos: Chaos) -> Callable[..., float]:
    """`took_s = recovery_timer(budget_s=30)`, or `recovery_timer(lambda: my_stack_is_well())`: Chaos.recovered."""
    return chaos.recovered


@pytest.fixture
def state_validator(chaos: Chaos) -> Callable[..., list[CheckResult]]:
    """`state_validator("steady", "residue")` runs checks, and fails with those that do not hold: Chaos.validate."""
    return chaos.validate


@pytest.fixture
def seed_random(chaos_config: ChaosConfig, request: pytest.FixtureRequest) -> Iterator[random.Random]:
    """A generator seeded by --chaos-seed and the test's name, as is Python's own: reproducible with the same seed."""
    seed = f"{chaos_config.seed} {request.node.nodeid}"
    print(f"seeded by --chaos-seed {chaos_config.seed}")  # pytest shows it for a failed test
    before = random.getstate()
    random.seed(seed)
    yield random.Random(seed)
    random.setstate(before)
