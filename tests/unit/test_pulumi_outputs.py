"""A Pulumi engine's answers to the request for a stack's outputs. Engines are small scripts here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stormdesk.cli import pulumi_outputs, sources
from stormdesk.core.errors import RefusedError, StormdeskError, UsageError
from stormdesk.infra.pulumi_cli import VERSION
from tests.unit.engines import script

HOST = {"name": "a", "role": "web", "address": "192.0.2.1", "host_key": "ssh-ed25519 AAAA", "identity_file": "/k"}
INVENTORY = {"version": 1, "environment": "desk", "hosts": {"a": HOST}}


@pytest.mark.parametrize("found", [INVENTORY, json.dumps(INVENTORY)], ids=["an object", "a text"])
def test_an_inventory_is_an_object_or_its_text(found: object) -> None:
    inventory = pulumi_outputs.of_outputs(json.dumps({"stormdesk_inventory": found}), "", "pulumi:dev")
    assert inventory.host("a").address == "192.0.2.1"


@pytest.mark.parametrize(
    ("stdout", "says"),
    [
        ("warning: a new version is available\n{}", "says: warning: a new version is available {}"),
        ("null", "says: null"),
        ("[]", "says: []"),
        ("5", "says: 5"),
        ("", "says: nothing"),
        ("{", "says: {"),
        ("\x1b[31mred\n", "says: \\x1b[31mred"),
        ("[" * 100_000, "says: [["),
        ("{}", "no output stormdesk_inventory (there is: none)"),
        ('{"ip": "x", "b\\n": 1}', "(there is: b\\n, ip)"),
        *(
            (json.dumps({"stormdesk_inventory": value}), "stormdesk_inventory: not an inventory")
            for value in (None, 5, [], [INVENTORY], "", "hello", "[secret]", True, {}, {"version": "1"})
        ),
        (json.dumps({"stormdesk_inventory": {**INVENTORY, "hosts": []}}), "not an inventory"),
        (json.dumps({"stormdesk_inventory": {**INVENTORY, "hosts": {"a": 5}}}), "host 'a'"),
    ],
)
def test_case_C54_unexpected_output_is_one_line_with_the_engines_message(stdout: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        pulumi_outputs.of_outputs(stdout, "", "pulumi:dev")
    assert says in str(caught.value)
    assert str(caught.value).startswith("pulumi:dev: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_case_C54_the_message_may_be_on_stderr() -> None:
    with pytest.raises(UsageError, match="says: error: no licence"):
        pulumi_outputs.of_outputs("", "error: no licence\n", "pulumi:dev")


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        ("echo no such stack >&2; exit 255", UsageError, "says: no such stack"),
        ("echo on stdout; exit 1", UsageError, "says: on stdout"),
        ("exit 7", UsageError, "exit code 7"),
        ("printf '\\377\\376'", UsageError, "expected the stack's outputs"),
        ("echo null", UsageError, "says: null"),
        ("exec sleep 30", RefusedError, "no answer from the Pulumi engine within 0.3 s"),
    ],
)
def test_case_C54_an_engine_that_fails_is_one_line(
    machine: Path, monkeypatch: pytest.MonkeyPatch, body: str, kind: type[StormdeskError], says: str
) -> None:
    monkeypatch.setattr(pulumi_outputs, "STACK_S", 0.3 if "sleep" in body else 20.0)
    script(machine / "bin/pulumi", f'[ "$1" = version ] && {{ echo v{VERSION}; exit; }}\n{body}')
    with pytest.raises(kind) as caught:
        sources.read("pulumi:dev")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_case_C54_one_host_of_the_output_that_is_wrong_is_left_out() -> None:
    hosts = {"a": HOST, "b": {**HOST, "name": "b", "port": "22"}}
    text = json.dumps({"stormdesk_inventory": {**INVENTORY, "hosts": hosts}})
    found = pulumi_outputs.of_outputs(text, "", "pulumi:dev")
    assert found.host("a").role == "web"
    with pytest.raises(UsageError, match=r"pulumi:dev: .*host 'b'.*port"):
        found.host("b")
