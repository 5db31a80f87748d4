"""The output of `ansible-inventory --list`, and the resulting hosts. Pure; tests/e2e/test_ansible.py runs the real one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.cli import ansible
from stormdesk.cli.inventories import Listing, Named
from stormdesk.core.errors import UsageError


def listed(hostvars: dict[str, Any], **groups: Any) -> Listing:
    """The hosts of a listing as `ansible-inventory` prints it."""
    text = json.dumps({"_meta": {"hostvars": hostvars}, **groups})
    return ansible.parse(text, "hosts", {}, lambda text: text)


def way(host: Named) -> tuple[str, tuple[str, ...]]:
    assert host.way is not None
    found = host.way()
    return found.target, found.words


@pytest.mark.parametrize(
    "value",
    [
        "192.0.2.7",
        {"__ansible_unsafe": "192.0.2.7"},
        {"__ansible_vault": "192.0.2.7"},
        {"__ansible_unsafe": "{{ 192.0.2.7"},
    ],
)
def test_case_C50_values_are_unwrapped(value: object) -> None:
    (host,) = listed({"web": {"ansible_host": value, "stormdesk_environment": "desk"}}).hosts
    assert way(host)[0].removeprefix("{{ ") == "192.0.2.7"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[WARNING]: x\n{}", "not JSON"),
        ("null", "no host in it"),
        ("[]", "expected keys and values"),
        ("5", "expected keys and values"),
        ("{}", "no host in it"),
        ('{"_meta": []}', "_meta: expected keys"),
        ('{"_meta": {"hostvars": 5}}', "hostvars: expected keys"),
        ('{"all": 5}', "group all: expected keys"),
        ('{"web": {"hosts": 5}}', "expected a list of names, not 5"),
        ('{"web": {"hosts": ["a"]}}', "stormdesk_environment"),
        ('{"a": {"children": ["b"]}, "b": {"children": ["a"]}}', "its own child"),
        ("[" * 100_000, "not JSON"),
        ('{"_meta": {"hostvars": {"a": 5}}, "web": {"hosts": ["a"]}}', "a: expected keys and values, not 5"),
    ],
)
def test_case_C50_input_that_is_not_a_listing_is_reported_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        ansible.parse(text, "hosts", {}, lambda text: text)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@settings(max_examples=200, deadline=None, database=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["_meta", "hostvars", "hosts", "children", "a", "ansible_host", "stormdesk_paths"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_no_listing_causes_a_traceback(value: object) -> None:
    with contextlib.suppress(UsageError):
        ansible.parse(json.dumps(value), "hosts", {}, lambda text: text)
    for text in (json.dumps(value), json.dumps([value]), json.dumps([{"ssh": value}])):
        ansible.configured(text)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"ansible_connection": "local"}, "ansible_connection local: only hosts that are reached by ssh"),
        ({"ansible_connection": "community.docker.docker"}, "only hosts that are reached by ssh"),
        ({"ansible_host": "{{ ip }}"}, "ansible_host {{ ip }}: a template"),
        ({"ansible_user": "{% if x %}a{% endif %}"}, "ansible_user"),
        ({"ansible_port": "{{ p }}"}, "ansible_port {{ p }}: a template"),
        ({"ansible_ssh_common_args": "-o ProxyJump={{ jump }}"}, "a template"),
        ({"stormdesk_paths": {"data": "{{ base }}/data"}}, "stormdesk_paths"),
        ({"ansible_host": ["a"]}, "expected a text or a number"),
        ({"ansible_ssh_common_args": "-o 'x"}, "No closing quotation"),
        ({"stormdesk_paths": "/srv"}, "not JSON"),
        ({"stormdesk_environment": "{{ env }}"}, "stormdesk_environment {{ env }}: a template"),
    ],
)
def test_case_C51_an_unusable_host_is_left_out_and_named(values: dict[str, Any], says: str) -> None:
    good = {"stormdesk_environment": "desk"}
    hosts = {host.name: host for host in listed({"a": good, "bad": {**good, **values}, "z": good}).hosts}
    assert says in hosts["bad"].why
    assert hosts["bad"].why.isprintable()
    assert "host bad" in hosts["bad"].why
    assert [name for name, host in hosts.items() if host.why] == ["bad"]


def test_case_C51_two_environments_in_one_inventory_are_refused() -> None:
    with pytest.raises(UsageError, match="b is of environment y, not x"):
        listed({"a": {"stormdesk_environment": "x"}, "b": {"stormdesk_environment": "y"}})


def test_a_host_is_of_its_innermost_group() -> None:
    hosts = listed(
        {name: {"stormdesk_environment": "desk"} for name in ("a", "b", "c")},
        all={"children": ["outer", "ungrouped"]},
        outer={"children": ["inner"], "hosts": ["b"]},
        inner={"hosts": ["a"]},
        ungrouped={"hosts": ["c"]},
    ).hosts
    assert {host.name: host.about["role"] for host in hosts} == {"a": "inner", "b": "outer", "c": "host"}


def test_the_options_come_in_the_order_in_which_ansible_gives_them_to_ssh() -> None:
    values = {
        "stormdesk_environment": "desk", "ansible_ssh_args": "-F x", "ansible_port": 22, "ansible_user": "u",
        "ansible_ssh_private_key_file": "/a b", "ansible_ssh_common_args": "-o A=b", "ansible_ssh_extra_args": "-o C='d e' # f",
    }  # fmt: skip
    (host,) = listed({"web": values}).hosts
    options = ("Port=22", 'IdentityFile="/a b"', "User=u", "A=b", "C=d e")
    assert way(host) == ("web", ("-F", "x", *(word for o in options for word in ("-o", o)), "#", "f"))
