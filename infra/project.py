"""The trading stack as a Pulumi project, for people with the full Pulumi CLI: the program of `pulumi up` in the checkout.

The stack's name is the environment's; backend, topology, ttl and init are its configuration. Previews run the program too, so it writes
nothing until all is up, and then only the connection files; the lab manages the rest of the environment's folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import pulumi
from pulumi.runtime.config import CONFIG

from stormdesk.core.errors import RefusedError, StormdeskError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.values import Lifetime, printable
from stormdesk.infra import environment, home, program
from stormdesk.infra.backends.lab import backend as lab
from stormdesk.infra.backends.lab import declared, deploy, records
from stormdesk.infra.home import Kept, Record
from stormdesk.infra.topology import Init, Topology

PROJECT = "stormdesk"
SETTINGS = {"backend": "lab", "topology": "core", "ttl": "2h", "init": Init.BUSYBOX.value}


def main() -> None:
    """Declare the environment of the stack's name and configuration. An error in them is one line."""
    try:
        _declare(pulumi.get_stack(), settings(CONFIG.get()))
    except StormdeskError as error:
        raise pulumi.RunError(str(error)) from None


def settings(config: Mapping[str, str]) -> Mapping[str, str]:
    """The project's settings in a stack's configuration, with defaults. Raises UsageError."""
    given = {key.partition(":")[2]: text for key, text in config.items() if key.partition(":")[0] == PROJECT}
    for key in given:
        if key not in SETTINGS:
            near = difflib.get_close_matches(key, SETTINGS, 1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"no setting '{printable(key)}'. {hint}There is: {', '.join(SETTINGS)}. Type: pulumi config rm {printable(key)}"
            )
    return {**SETTINGS, **given}


def wanted(name: str, found: Mapping[str, str], old: Record | None, *, running: bool) -> Record:
    """The environment for these settings. A running one keeps its expiry time unless its ttl changed.

    UsageError: a setting is not valid, or the init of a running environment would change.
    """
    home.check_name(name)
    if found["backend"] != "lab":
        raise UsageError(
            f"backend '{printable(found['backend'])}': `pulumi up` makes labs. Type: pulumi config set backend lab"
            f"   (for containers: invoke env.up --backend docker)"
        )
    try:
        ttl_s = float(Lifetime(found["ttl"]))
        environment.check_ttl(ttl_s)
    except UsageError as error:
        raise UsageError(f"ttl: {error}. Type: pulumi config set ttl 2h") from None
    try:
        init = environment.checked_init(found["init"], found["backend"])
    except UsageError as error:
        raise UsageError(f"init: {error} Type: pulumi config set init {Init.BUSYBOX}") from None
    if old is not None and running and old.init is not init:
        raise UsageError(
            f"init {init}: environment {name} runs with {old.init}, and hosts cannot change it. "
            f"Type: pulumi config set init {old.init}, or pulumi destroy first"
        )
    same = old is not None and running and old.ttl_s == ttl_s
    return Record(
        name=name,
        owner=old.owner if old is not None and running else home.owner(),
        backend="lab",
        engine=home.CLI,
        topology=found["topology"],
        ttl_s=ttl_s,
        expires_at=old.expires_at if old is not None and same else home.expiry(ttl_s),
        init=init,
    )


def _declare(name: str, found: Mapping[str, str]) -> None:
    home.check_name(name)
    _refuse_taken(name)
    record = wanted(name, found, home.read_record(name), running=bool(records.running(name)))
    topology, material = program.of(record)
    lab.require_cgroups(topology)
    order = lab.order(record, topology, material)
    inventory = program.inventory(record, deploy.inventory_hosts(order))
    made = declared.declare(order, Kept(record=record, material=material))
    program.export(inventory)
    if not pulumi.runtime.is_dry_run():
        pulumi.Output.all(*[part.drift for part in made]).apply(lambda _: _complete(record, topology, inventory))
    program.sleep_while_made()


def _refuse_taken(name: str) -> None:
    """Raises RefusedError when an environment of that name was created some other way."""
    way_out = f"Type: invoke env.down --env {name}, or give this stack another name"
    if why := home.flaw(name):
        raise RefusedError(f"environment {name}: {why}. {way_out}")
    record, known = home.read_record(name), records.read(name)
    if record is not None and record.engine != home.CLI:
        raise RefusedError(f"environment {name} was made by `invoke env.up` (engine {record.engine}). {way_out}")
    if records.running(name) and (known is None or known.home != str(home.directory(name))):
        where = f"from {known.home}" if known else "by somebody else"
        raise RefusedError(f"environment {name} is already up, {where}. {way_out}")


def _complete(record: Record, topology: Topology, inventory: Inventory) -> None:
    """Everything is created: write the connection files, and wait until the stack trades."""
    if home.read_record(record.name) != record:
        return  # run by `refresh` or `destroy`, for an expired environment
    home.write_state(inventory)
    late: list[str] = []
    lab.wait(record, topology, inventory, late.append)
    for line in late:
        if line.startswith("not after"):
            pulumi.log.warn(line)
