"""Hosts with systemd: what a stack of them is, the files that make them, and what their guards read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.infra import environment, stacks
from stormdesk.infra.backends.lab import files, network, spec
from stormdesk.infra.entries import entry
from stormdesk.infra.inits import with_init
from stormdesk.infra.topology import Host, Init, Route, Topology
from stormdesk.testnet.guard import systemd as guards
from stormdesk.testnet.guard.supervisor import Process

BARE = stacks.core(stacks.Credentials(api_key="k", api_secret="s"))
STACK = with_init(BARE, Init.SYSTEMD)
SITE = files.Site(
    environment="demo", expires_at="2026-11-28T08:00:00Z", python="/usr/bin/python3", authorized_key="ssh-ed25519 A",
    host_keys={host.name: "key" for host in STACK.hosts}, facts={host.name: {} for host in STACK.hosts},
)  # fmt: skip


def made(host: str, stack: Topology = STACK) -> spec.HostSpec:
    it = stack.host(host)
    return spec.host(stack, it, files.content(stack, it, SITE), {})


def file(host: spec.HostSpec, path: str) -> spec.FileSpec:
    every = [*host.files, *(f for service in host.services for f in service.files)]
    return next(it for it in every if it.path == path)


def test_a_stack_has_an_init_and_each_host_may_have_its_own() -> None:
    assert {host.init for host in BARE.hosts} == {Init.BUSYBOX}
    assert {host.init for host in STACK.hosts} == {Init.SYSTEMD}
    assert with_init(BARE, Init.BUSYBOX) is BARE
    mixed = replace(BARE, hosts=[replace(h, init=Init.SYSTEMD if h.name == "ops" else h.init) for h in BARE.hosts])
    assert {it.path for it in made("ops", mixed).files} & {"/etc/machine-id", "/etc/inittab"} == {"/etc/machine-id"}
    assert {it.path for it in made("store", mixed).files} & {"/etc/machine-id", "/etc/inittab"} == {"/etc/inittab"}


def test_the_inventory_names_the_manager_that_the_host_has() -> None:
    for stack, manager in (BARE, "supervisor"), (STACK, "systemd"):
        listed = entry(stack, stack.host("trader-a"), address="10.77.0.13", host_key="k", identity_file="i")
        assert {service.manager for service in listed.services.values()} == {manager}


def test_every_service_is_an_enabled_unit_that_is_always_restarted() -> None:
    assert not any(service.restarted_by for service in STACK.services)
    for host in STACK.hosts:
        it = made(host.name)
        assert it.services
        for service in it.services:
            unit = file(it, f"/etc/systemd/system/{service.name}.service")
            assert "\nRestart=always\n" in unit.text
            assert file(it, f"/etc/systemd/system/multi-user.target.wants/{service.name}.service").to == unit.path


def test_a_guard_asks_systemd_and_may_restart_its_own_unit_alone() -> None:
    guard = file(made("trader-a"), "/etc/trading/guard.json")
    assert '"supervisor": "systemd"' in guard.text
    rules = file(made("trader-a"), "/etc/sudoers.d/guard")
    assert rules.mode == 0o440
    assert rules.text.splitlines() == [
        "trading ALL=(root) NOPASSWD: /usr/bin/systemctl reset-failed trader.service",
        "trading ALL=(root) NOPASSWD: /usr/bin/systemctl restart trader.service",
    ]
    assert "/etc/sudoers.d/guard" not in {it.path for it in made("ops").files}


def routed(host: Host) -> Host:
    return replace(host, routes=(*host.routes, Route(to="10.99.0.0/16", via="10.77.1.11")))


def test_networkd_has_the_interfaces_that_the_topology_gives_it_with_their_routes() -> None:
    stack = replace(STACK, hosts=[routed(host) if host.name == "trader-a" else host for host in STACK.hosts])
    trader = made("trader-a", stack)
    text = file(trader, "/etc/systemd/network/20-eth1.network").text
    for line in "Name=eth1", "Address=10.77.1.13/24", "Address=fd77:0:0:1::13/64", "Destination=10.99.0.0/16":
        assert f"\n{line}\n" in text
    ours = network.inside(trader)
    assert not any("eth1" in line or "10.99" in line for line in ours)
    assert "route add 10.88.0.0/16 via 10.77.2.16" in ours
    assert not any("network/" in it.path for it in made("store").files)


def test_networkd_needs_systemd() -> None:
    host = STACK.host("trader-a")
    with pytest.raises(UsageError, match="eth1 is networkd's, and its init is busybox"):
        replace(STACK, hosts=[replace(host, init=Init.BUSYBOX) if it is host else it for it in STACK.hosts])


@pytest.mark.parametrize(
    ("init", "backend", "why"),
    [("upstart", "lab", "no init 'upstart'. There is: busybox, systemd."), ("systemd", "docker", "--init systemd: only the hosts")],
)  # fmt: skip
def test_an_init_that_cannot_be_is_refused_before_anything_is_made(init: str, backend: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        environment.up("x", "core", backend, "auto", 600.0, print, init=init)


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("ActiveState=active\nMainPID=42\nExecMainStartTimestampMonotonic=7000000", Process("RUNNING", 42, 3.0)),
        ("ActiveState=activating\nMainPID=0\nExecMainStartTimestampMonotonic=7000000", Process("STARTING")),
        ("ActiveState=failed\nMainPID=0\nExecMainStartTimestampMonotonic=0", Process("FATAL")),
        ("ActiveState=inactive\nMainPID=0", Process("STOPPED")),
        ("", Process()),
    ],
)
def test_a_guard_reads_a_units_state(state: str, seen: Process) -> None:
    assert guards.read(state, 10.0) == seen
