"""The only place where text becomes shell. Rules:

1. Commands are argv tuples; `words()` is the only quoting function.
2. Host scripts are constants (stormdesk/host/*.sh). Data reaches them as quoted assignments or as the quoted words of a plan.
3. Scripts go to an open `sh -s`, never into an argv of ours.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from stormdesk.core.errors import UsageError
from stormdesk.core.model import Argv
from stormdesk.core.plan import Plan


def words(argv: Argv) -> str:
    """Quote an argv for any POSIX shell. Control characters other than newline and tab are refused with UsageError."""
    for word in argv:
        if any((ord(c) < 32 and c not in "\n\t") or ord(c) == 127 for c in word):
            raise UsageError(f"{word!r}: control characters are not allowed in a command")
    return " ".join(shlex.quote(word) for word in argv)


def assignments(values: Mapping[str, str]) -> str:
    """`NAME='value'` lines."""
    return "".join(f"{name}={words((value,))}\n" for name, value in values.items())


def function(name: str, commands: Iterable[Argv], *, keep_going: bool = False) -> str:
    """A shell function that runs the commands in order and fails at the first that fails; `keep_going`: continue past failures."""
    lines = [f"  {words(argv)}" + ("" if keep_going else " || return") for argv in commands]
    return "\n".join([f"{name}() {{", *lines, "  :", "}", ""])


def plan_script(plan: Plan) -> str:
    """The plan as shell functions, plan_do_1.., plan_undo_1.., plan_baseline, plan_witness, plan_still: what the steps on the host call."""
    parts = [
        assignments(
            {
                "SD_RUN": plan.id.run_id,
                "SD_FAULT": plan.id.fault,
                "SD_STEPS": str(len(plan.change.steps)),
                "SD_FILES": "\n".join(plan.change.files),
                "SD_SERVICES": "\n".join(plan.change.services),
                "SD_TOUCHES": "\n".join(sorted({*plan.change.touches})),
                "SD_SPACES": "\n".join(plan.change.spaces),
                "SD_RESOURCES": "\n".join(plan.change.resources),
                "SD_PERSISTENT": "yes" if plan.change.persistent else "",
                "SD_CUTS": "yes" if plan.control.cuts else "",
            }
        )
    ]
    for number, step in enumerate(plan.change.steps, 1):
        parts.append(function(f"plan_do_{number}", [step.do]))
        # Whether an undo worked is read back from the host, so one that fails must not keep the next from running.
        parts.append(function(f"plan_undo_{number}", step.undo, keep_going=True))
    parts.append(function("plan_baseline", [plan.proof.baseline] if plan.proof.baseline else []))
    parts.append(function("plan_witness", [plan.proof.witness]))
    parts.append(function("plan_still", [plan.proof.still or plan.proof.witness]))
    parts.append(function("plan_recheck", [("sd_same", expected, *argv) for argv, expected in plan.change.rechecks]))
    return "".join(parts)


# What here_document() and to_file() call.
SAVE = 'sd_save() { cat >"$rec/$1" || exit 74; }\nsd_put_in() { printf %s "$2" >"$rec/$1" || exit 74; }\n'


def here_document(name: str, text: str) -> str:
    """Shell that writes `text` to $rec/<name>, after SAVE. The quoted delimiter keeps the text as it is.

    dash loses a byte of a line that begins as the delimiter does and goes on with one above 127, so no line may.
    """
    delimiter = "@STORMDESK_END"
    if any(line.startswith(delimiter[0]) for line in text.split("\n")):
        raise UsageError(f"no line of {name} may begin with {delimiter[0]}")
    whole = text if text.endswith("\n") else text + "\n"
    return f"sd_save {name} <<'{delimiter}'\n{whole}{delimiter}\n"


def to_file(name: str, text: str) -> str:
    """The same for a constant, by the shell itself: a here-document takes a process. Larger, where the text has many quotes."""
    return f"sd_put_in {words((name, text))}\n"
