"""The outputs of a Pulumi stack, read by its engine."""

from __future__ import annotations

import json
import os
import subprocess

from stormdesk import own
from stormdesk.core import inventory as documents
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.values import printable
from stormdesk.ssh import patience

STACK_S = 60.0  # for the engine to read a stack's outputs, maybe from a remote backend
SAID = 300  # characters of the engine's output that a message repeats


def read(rest: str) -> Inventory:
    """The output `stormdesk_inventory` of `[FOLDER#]STACK`, secret or not; it stays in memory. Raises UsageError or RefusedError."""
    from stormdesk.infra import pulumi_cli

    folder, stack = _project(rest)
    engine = pulumi_cli.require()
    origin = f"pulumi:{stack}"
    command = ["stack", "output", "--json", "--show-secrets", "--non-interactive"]
    argv = [str(engine.path), *command, "--cwd", folder, "--stack", stack]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **engine.environ()}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=patience.scaled(STACK_S), check=False,
        )  # fmt: skip
    except OSError as error:
        raise RefusedError(f"{origin}: the Pulumi engine does not run: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        waited = f"{patience.scaled(STACK_S):g} s. {patience.hint()}"
        raise RefusedError(f"{origin}: no answer from the Pulumi engine within {waited}") from error
    if done.returncode != 0:
        said = _line(done.stderr or done.stdout) or f"exit code {done.returncode}"
        raise UsageError(f"{origin}: the Pulumi engine says: {said}")
    return of_outputs(done.stdout, done.stderr, origin)


def of_outputs(stdout: str, stderr: str, origin: str) -> Inventory:
    """The inventory in the output of `pulumi stack output --json`. Raises UsageError with the engine's message."""
    try:
        outputs = json.loads(stdout)
    except (ValueError, RecursionError):
        outputs = None
    if not isinstance(outputs, dict):
        said = _line(f"{stdout} {stderr}") or "nothing"
        raise UsageError(f"{origin}: expected the stack's outputs, as one JSON object. The Pulumi engine says: {said}")
    if own.OUTPUT not in outputs:
        known = ", ".join(map(printable, sorted(outputs))) or "none"
        raise UsageError(f"{origin}: no output {own.OUTPUT} (there is: {known}). Make it by: from stormdesk import own")
    found = outputs[own.OUTPUT]
    return documents.parse(found if isinstance(found, str) else json.dumps(found), f"{origin}: {own.OUTPUT}")


def _project(rest: str) -> tuple[str, str]:
    """`[FOLDER#]STACK`: the Pulumi project's folder, by default the current one, and the stack."""
    folder, _, stack = rest.rpartition("#")
    if not stack:
        raise UsageError("--inventory pulumi:STACK: which stack? For example: pulumi:staging, or pulumi:infra#staging")
    return folder or ".", stack


def _line(text: str) -> str:
    return printable(" ".join(text.split())[:SAID])
