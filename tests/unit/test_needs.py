"""What a runbook needs of its environment."""

from __future__ import annotations

import pytest

from stormdesk.core.errors import ExitCode, LackingError, RefusedError, UsageError
from stormdesk.core.inventory import Inventory, InventoryHost, ServiceEntry
from stormdesk.core.needs import Needs
from stormdesk.core.runbook import Runbook, Vocabulary, variants
from stormdesk.desk.stacks import STACKS
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS
from stormdesk.infra import stacks


def needing(*lines: str) -> Runbook:
    step = "steps: [{fault: noop, host: ops, for: 1s}]"
    text = "\n".join(["```yaml", "title: T", "rto_s: 30", step, *lines, "```"])
    return variants(text, "book.md", Vocabulary(FAULTS, tuple(JUDGES), stacks=STACKS))[0]


def environment(*services: str) -> Inventory:
    host = InventoryHost(
        name="a", role="x", address="127.0.0.1", host_key="ssh-ed25519 AAAA", identity_file="",
        services={name: ServiceEntry(user="root") for name in services},
    )  # fmt: skip
    return Inventory(version=1, environment="here", hosts={"a": host})


def test_a_stack_stands_for_its_services() -> None:
    found = needing("needs: {stack: full, services: [kafka, ntpd]}").needs
    assert found == Needs("full", (*STACKS["full"], "ntpd"))
    assert needing().needs == Needs()


def test_what_is_lacking_is_named() -> None:
    wanted = needing("needs: {services: [redis, kafka]}").needs
    assert wanted.lacking(environment("redis", "kafka", "trader")) == ""
    assert wanted.lacking(environment("redis")) == "it needs the services redis, kafka, and here has no kafka"
    full = needing("needs: {stack: full}").needs
    assert full.lacking(environment(*STACKS["full"])) == ""
    assert full.lacking(environment(*STACKS["core"])) == "it needs the stack full, and here has no kafka"
    assert Needs().lacking(environment()) == ""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("needs: full", r"5:8 needs: expected keys and values"),
        ("needs: {stack: ful}", r"5:16 needs\.stack: no stack 'ful'\. Known: core, full"),
        ("needs: {service: [kafka]}", r"5:9 needs: unknown key 'service'\. Did you mean: services\?"),
        ("needs: {services: kafka}", r"5:19 needs\.services: expected a list"),
        ("needs: {services: [redis, 'ka fka']}", r"5:27 needs\.services\[1\]: must be the name of a service, e\.g\. kafka"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_needs_is_an_error_with_its_place(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        needing(line)


@pytest.mark.parametrize("name", sorted(STACKS))
def test_the_services_of_a_stack_are_those_of_its_topology(name: str) -> None:
    keys = stacks.Credentials(api_key="k", api_secret="s")
    assert sorted({service.name for service in stacks.named(name, keys).services}) == sorted(STACKS[name])


def test_what_lacks_is_refused_and_no_other_refusal_is_lacking() -> None:
    assert issubclass(LackingError, RefusedError)
    assert LackingError("x").exit_code is ExitCode.REFUSED
    assert not issubclass(RefusedError, LackingError)
