"""The inventory document: validation, refusals before any connection, and suggestions for misspelt names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.core import inventory
from stormdesk.core.errors import UsageError

HOST = {
    "name": "trader-a",
    "role": "trader",
    "address": "10.77.0.13",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
    "identity_file": "/tmp/id",
}


def document(**changes: Any) -> str:
    host = {**HOST, **changes}
    return json.dumps({"version": 1, "environment": "demo", "hosts": {host["name"]: host}})


def test_a_document_is_read_and_written_back_the_same() -> None:
    read = inventory.parse(document(networks={"market": {"interface": "eth1", "address": "10.77.1.13/24"}}), "x")
    assert inventory.parse(inventory.render(read), "y") == read
    assert inventory.render(read) == inventory.render(inventory.parse(inventory.render(read), "y"))
    assert read.host("trader-a").target == "root@10.77.0.13:22"
    assert [host.name for host in read.role("trader")] == ["trader-a"]
    assert list(read.role("nobody")) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        *(
            ({"address": text}, "address")
            for text in ("-oProxyCommand=x", "a;id", "$(id)", "", "fe80::1%eth0", "a" * 300, "a b", "a\nHost *", "`id`")
        ),
        *(({"name": text}, "name") for text in ("", "-x", "a/b", "a b", "a\nb", "é", "\u202egpj", "x" * 64)),
        *(({"user": text}, "user") for text in ("", "-oX", "root;id", "a b", "x" * 33)),
        *(({"port": port}, "port") for port in (0, -1, 65536)),
        *(({"host_key": text}, "host_key") for text in ("", "ssh-ed25519", "ssh-ed25519 $(id)", "x y\nother z")),
        ({"more_identity_files": [""]}, "more_identity_files"),
        ({"certificate_files": ["a\nb"]}, "certificate_files"),
        ({"identity_agent": "a\nb"}, "identity_agent"),
        ({"identity_file": "a\nb"}, "identity_file"),
        ({"proxy_command": "x\ny"}, "proxy_command"),
        ({"role": ""}, "role"),
    ],
)
def test_a_value_that_could_mean_something_else_is_refused_and_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        inventory.parse(document(**changes), "hosts.json")
    message = str(caught.value)
    assert message.startswith("hosts.json: ")
    assert says in message
    assert "must be" in message
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not an inventory"),
        ("[]", "not an inventory"),
        ("{", "not an inventory"),
        (document().replace('"version": 1', '"version": 2'), "version 2"),
        (document(hostnames=["a"]), "hostnames"),
        (document(port="22"), "port"),
        (document().replace('{"trader-a"', '{"other"'), "calls itself 'trader-a'"),
    ],
)
def test_a_document_of_another_form_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=r"^hosts\.json: ") as caught:
        inventory.parse(text, "hosts.json")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@settings(max_examples=300, deadline=None, database=None)
@given(text=st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_no_document_causes_a_traceback(text: str | bytes) -> None:
    with pytest.raises(UsageError):
        inventory.parse(text, "hosts.json")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("trader-b", "Did you mean: trader-a?"), ("zzz", "Known: trader-a."), ("", "Known"), ("$(id)", "Known")],
)
def test_an_unknown_host_gets_the_nearest_name(typed: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        inventory.parse(document(), "x").host(typed)
    assert hint in str(caught.value)


@pytest.mark.parametrize("typed", ["a\nb", "\x1b[31m", "\u202ea", "x" * 300, "-oProxyCommand=x"])
def test_the_name_of_an_unknown_host_is_shown_harmlessly(typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        inventory.parse(document(), "x").host(typed)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("what", ["environment", "expires_at"])
def test_what_stands_in_a_comment_for_ssh_is_one_line(what: str) -> None:
    text = json.dumps({**json.loads(document()), what: "demo\nProxyCommand x"})
    with pytest.raises(UsageError, match=f"hosts.json: {what} .*must be one line"):
        inventory.parse(text, "hosts.json")


BAD: list[Any] = [
    5, None, [], "x", {}, {**HOST, "port": "22"}, {**HOST, "name": "other"}, {**HOST, "address": "a b"}, {**HOST, "nope": 1},
    {**HOST, "role": "a\nb"}, {**HOST, "services": {"x": 5}}, {**HOST, "name": "bad", "host_key": ""},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=[str(number) for number in range(len(BAD))])
def test_case_C51_a_host_that_is_wrong_matters_only_when_it_is_asked_for(bad: Any) -> None:
    text = json.dumps({"version": 1, "environment": "demo", "hosts": {"bad": bad, "trader-a": HOST}})
    found = inventory.parse(text, "hosts.json")
    assert found.host("trader-a").role == "trader"
    with pytest.raises(UsageError, match=r"^hosts\.json: host 'bad'") as caught:
        found.host("bad")
    assert str(caught.value).isprintable()
    assert sorted(found.hosts) == ["bad", "trader-a"]
    assert found.hosts["bad"].role.isprintable()
    assert list(inventory.parse(inventory.render(found), "again").hosts) == ["trader-a"]


def test_case_C51_of_a_host_that_is_wrong_it_is_still_known_what_it_is() -> None:
    services = {"trader": {"user": "trading", "ports": {"http": 8000}}}
    hosts = {"bad": {**HOST, "name": "bad", "port": 0, "services": services}, "trader-a": HOST}
    found = inventory.parse(json.dumps({"version": 1, "environment": "demo", "hosts": hosts}), "x")
    assert [host.name for host in found.role("trader")] == ["bad", "trader-a"]
    assert found.hosts["bad"].services["trader"].ports == {"http": 8000}


def test_case_C51_a_name_that_is_wrong_is_shown_harmlessly() -> None:
    hosts = {"a\x1b[31m": {**HOST, "name": "a\x1b[31m"}, "trader-a": HOST}
    found = inventory.parse(json.dumps({"version": 1, "environment": "demo", "hosts": hosts}), "x")
    assert all(name.isprintable() for name in found.hosts)
    assert len(found.unusable) == 1
