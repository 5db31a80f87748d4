"""`python -m stormdesk.infra.automation VERB NAME`: Pulumi's Automation API on one environment, in a process of its own.

One process per stack, because the API allows one inline program at a time, blocks while the engine works, and leaves the
engine running when its caller dies. Standard output has one JSON object per line: {"say": text} while it works, finally
{"result": ...} or {"error": text, "code": exit code}. The caller holds standard input open: when it is closed, everything
ends, engine and providers included. `engine.py` is the caller's side.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pulumi import automation

from stormdesk.core.errors import HostError, RefusedError, StormdeskError
from stormdesk.infra import home, program, pulumi_cli
from stormdesk.infra.backends.lab import kernel, processes
from stormdesk.infra.engine import alive, describe, locks
from stormdesk.infra.home import Record
from stormdesk.own import OUTPUT

PROJECT, DYING_S = "stormdesk", 2.0


def open_stack(record: Record, declare: Callable[[], None]) -> automation.Stack:
    """The environment's stack, created if it does not exist; `declare` is its program.

    State is in the environment's folder, encrypted with a passphrase from a file, unless PULUMI_BACKEND_URL is set; the user's
    own PULUMI_CONFIG_PASSPHRASE(_FILE) is respected then too.
    """
    engine = pulumi_cli.require()
    folder = home.directory(record.name) / "pulumi"
    (folder / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = automation.ProjectSettings(name=PROJECT, runtime="python", main=str(folder))
    environ = dict(engine.environ()) | {"STORMDESK_HOME": str(home.home())}
    environ["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"  # nothing is downloaded as a side effect
    if "PULUMI_BACKEND_URL" not in os.environ:
        settings.backend = automation.ProjectBackend(url=f"file://{folder}/state")
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(os.environ):
        passphrase = folder / "passphrase"
        if not passphrase.exists():
            home.write(passphrase, secrets.token_urlsafe(32))
        environ["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase)
    options = automation.LocalWorkspaceOptions(
        work_dir=str(folder), project_settings=settings, env_vars=environ, pulumi_command=engine.command()
    )
    return automation.create_or_select_stack(record.name, project_name=PROJECT, program=declare, opts=options)


def up(record: Record) -> Any:
    """Create or update the declared resources; returns the inventory document."""
    topology, material = program.of(record)
    stack = open_stack(record, lambda: program.run(record, topology, material))
    _set_free(stack, record.name)
    done = stack.up(color="never", on_output=_log(record.name), suppress_outputs=True)
    _say(f"pulumi: {_counted(done.summary.resource_changes)}")
    return done.outputs[OUTPUT].value


def preview(record: Record) -> Any:
    """How many resources the next `up` would create, change or remove, by kind of change."""
    topology, material = program.of(record)
    stack = open_stack(record, lambda: program.run(record, topology, material))
    done = stack.preview(color="never", on_output=_log(record.name))
    return {automation.OpType(operation).value: number for operation, number in done.change_summary.items()}


def refresh(record: Record) -> Any:
    """Refresh the state from the real resources; returns the differences from the declaration: {part: [differences]}."""
    stack = open_stack(record, lambda: None)
    _set_free(stack, record.name)
    before = _parts(stack)
    stack.refresh(color="never", on_output=_log(record.name), show_secrets=False)
    after = _parts(stack)
    gone = {part: ["not there"] for part in before if part not in after}
    return gone | {part: drift for part, drift in after.items() if drift}


def destroy(record: Record) -> Any:
    """Destroy everything, in whatever state it is, and remove the stack."""
    stack = open_stack(record, lambda: None)
    _set_free(stack, record.name)
    stack.destroy(color="never", on_output=_log(record.name), refresh=True)
    stack.workspace.remove_stack(record.name)
    return None


def unlock(record: Record) -> Any:
    """Break the lock of the state."""
    open_stack(record, lambda: None).cancel()
    return None


VERBS: Mapping[str, Callable[[Record], Any]] = {
    "up": up, "preview": preview, "refresh": refresh, "destroy": destroy, "unlock": unlock,
}  # fmt: skip


def _set_free(stack: automation.Stack, name: str) -> None:
    """Break a lock whose holder died on this machine: nobody else would. A process that was just killed takes a moment to end."""
    held = locks(name)
    deadline = time.monotonic() + DYING_S
    while any(alive(lock) for lock in held) and time.monotonic() < deadline:
        time.sleep(0.1)
    if held and not any(alive(lock) for lock in held):
        _say(f"pulumi: the state was {describe(held[0])}, which is dead: its lock is removed")
        stack.cancel()


def _parts(stack: automation.Stack) -> dict[str, list[str]]:
    """Each resource of the stack's state, with its drift if known."""
    deployment = stack.export_stack().deployment
    found = {}
    for resource in (deployment or {}).get("resources", []):
        if resource.get("custom") and not resource["type"].startswith("pulumi:"):
            name = resource["urn"].rpartition("::")[2]
            found[name] = list(resource.get("outputs", {}).get("drift") or [])
    return found


def _counted(changes: Mapping[automation.OpType, int] | None) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted((changes or {}).items())) or "nothing to do"


def _log(name: str) -> Callable[[str], None]:
    path = home.directory(name) / "pulumi/pulumi.log"

    def write(line: str) -> None:
        with contextlib.suppress(OSError), path.open("a") as log:
            log.write(line + "\n")

    return write


def _print(document: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        print(json.dumps(document), flush=True)


def _say(text: str) -> None:
    _print({"say": text})


def _end_with_caller() -> None:
    """When the caller is gone, end all children (plugins lead process groups of their own), then this process."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _end()


def _end() -> NoReturn:
    """Exit at once, regardless of threads, with the engine and its plugins, which do not notice when the engine is killed."""
    processes.end_below(os.getpid())
    os._exit(0)


def main() -> None:
    verb, name = sys.argv[1:]
    kernel.adopt_orphans()
    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        record = home.read_record(name)
        if record is None:
            raise RefusedError(f"environment {name} has no environment.json")
        _print({"result": VERBS[verb](record)})
    except StormdeskError as error:
        _print({"error": str(error), "code": int(error.exit_code)})
    except automation.errors.ConcurrentUpdateError:
        held = "; ".join(describe(lock) for lock in locks(name))
        _print({"error": f"another command is at work on environment {name} ({held or 'elsewhere'}). "
                         f"If it is dead, type: invoke env.unlock --env {name}", "code": int(RefusedError.exit_code)})  # fmt: skip
    except automation.errors.CommandError as error:
        _print({"error": f"pulumi: {_last_words(str(error))}", "code": int(HostError.exit_code)})
    _end()


def _last_words(text: str) -> str:
    """The engine's own reason, from the long text of a CommandError."""
    lines = [line.strip() for line in text.splitlines()]
    reasons = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return " | ".join(dict.fromkeys(reasons)) or (lines[-1] if lines else "no reason given")


if __name__ == "__main__":
    main()
