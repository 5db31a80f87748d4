"""Scripts for a host, from constants (`HostScripts`) and quoted data. Pure: values in, text out.

Every script is one text for an open `sh -s`: a subshell in a function, so that the whole of it is read before its first
command runs, and no command can eat the rest of it from stdin.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.safety import MAX_FAULTS
from stormdesk.core.shell import SAVE, assignments, here_document, plan_script, to_file, words
from stormdesk.host import library
from stormdesk.host.library import HostScripts, step

_ON_HOST = ("inject", "revert", "watchdog", "arm", "look")  # and "boot", where the fault survives a restart


def _whole(body: str) -> str:
    return f"sd_main() (\n{body}\n)\nsd_main </dev/null\n"


def arm(
    scripts: HostScripts,
    plan: Plan,
    facts: HostFacts,
    *,
    inject: bool,
    allow_no_boot_hook: bool,
    not_after_s: float,
    spare_s: float = 0.0,
    most_faults: int = MAX_FAULTS,
) -> str:
    """S1-S3, and S4-S5 in the same round trip with `inject`. Ends by printing the record.

    The host refuses it when it is not any more as `facts` say, or more than `not_after_s` seconds after its own boot.
    `spare_s` is how long the inject may take to come; the deadline is that much later until it says which one holds.
    The host also refuses it when `most_faults` are in already.
    """
    values = {
        "SD_RUN": plan.id.run_id,
        "SD_MARKER": facts.marker_text,
        "SD_BOOT_ID": facts.identity.boot_id,
        "SD_NOT_AFTER": str(round(not_after_s)),
    }
    allowed = {"SD_NO_BOOT_HOOK": "allowed" if allow_no_boot_hook else "", "SD_MOST_FAULTS": str(most_faults)}
    lib, verbs = library.of_plan(scripts, plan)
    parts = [assignments(values), step(scripts, "guard"), SAVE]
    parts += [_file("lib", lib), _file("verbs", verbs)]
    steps = [*_ON_HOST, *(["boot"] if plan.change.persistent else [])]
    parts += [_file(name, step(scripts, name)) for name in steps]
    parts.append(here_document("plan.sh", plan_script(plan) + assignments(allowed)))
    later = "" if inject and not plan.control.cuts else " later"
    parts.append(f'sh "$rec/arm.sh" "$rec" {round((plan.timing.ttl_s + spare_s) * 100)}{later} || exit\n')
    if inject:
        parts.append(_inject(cuts=plan.control.cuts))
    parts += [step(scripts, "print"), _EXIT]
    return _whole("".join(parts))


_FEW_QUOTES = 8  # more of them make to_file() larger than a here-document


def _file(name: str, text: str) -> str:
    return (to_file if text.count("'") <= _FEW_QUOTES else here_document)(f"{name}.sh", text)


_EXIT = 'exit "${code:-0}"\n'


def _inject(*more: str, cuts: bool) -> str:
    """Run inject.sh; one that cuts our own link is not waited for, its answer could not come."""
    command = f'setsid sh "$rec/inject.sh" "$rec" {words(more)}'.rstrip()
    return f"{command} >/dev/null 2>&1 &\n" if cuts else f"code=\n{command} || code=$?\n"


def inject(
    scripts: HostScripts, base: str, run_id: str, *, cuts: bool, at_cs: int = 0, until_cs: int | None = None
) -> str:
    """S4-S5 of a run that is armed, its record below `base`: at the instant `at_cs` of the host's time since boot in
    centiseconds, or at once when that is over. `until_cs` is its deadline from then on, if that is the earlier one.
    """
    instants = (str(at_cs), "" if until_cs is None else str(until_cs))
    data = assignments({"SD_RUN": run_id, "sd_base": base}) + step(scripts, "ask_inject")
    return _whole(data + _inject(*instants, cuts=cuts) + step(scripts, "print") + _EXIT)


def witnesses(commands: Sequence[Argv]) -> str:
    """Run commands at once; a line for each: `witness <its number> <exit code> <the last 400 bytes of what it said>`."""
    body = [
        f"{{ sd_said=$({words(argv)} 2>&1); sd_code=$?\n"
        f'  printf "witness {number} %s %s\n" "$sd_code" "$(printf %s "$sd_said" | tail -c 400 | tr "\n" " ")"; }} &\n'
        for number, argv in enumerate(commands)
    ]
    return _whole("".join(body) + "wait\n")


def ask(scripts: HostScripts, base: str, run_id: str, argv: Argv) -> str:
    """One word of the library about a run that is on the host, its record below `base`; ends with that word's exit code."""
    data = assignments({"SD_RUN": run_id, "sd_base": base, "rec": f"{base}/{run_id}"})
    return _whole(library.for_commands(scripts, [argv]) + data + words(argv))


def revert(scripts: HostScripts, run_id: str, who: str, patience_s: float, not_after_s: float = 0.0) -> str:
    """S7 and S8: revert and verify, trying for `patience_s`; prints the record, and whose each change was.

    A host that knows nothing of the run prints `gone`. Up to `not_after_s` seconds after its boot an arming may be on its
    way to it: from then on it refuses that, or prints `unfenced` when it could not see to it.
    """
    fence_until = str(round(not_after_s + 1) * 100 if not_after_s else 0)
    values = {
        "SD_RUN": run_id,
        "SD_WHO": who,
        "SD_PATIENCE": str(round(patience_s * 10)),
        "SD_FENCE_UNTIL": fence_until,
    }
    parts = [library.for_commands(scripts, [("sd_keep_out",)]), assignments(values)]
    return _whole("".join([*parts, *(step(scripts, name) for name in ("ask_revert", "print", "print_change"))]))


def clear(scripts: HostScripts, run_id: str) -> str:
    """S9: end the watchdogs and remove the record, only after a verified revert."""
    data = assignments({"SD_RUN": run_id})
    return _whole(library.core(scripts) + data + step(scripts, "ask_clear") + step(scripts, "clear"))


def status(scripts: HostScripts, *, sweep: bool = False) -> str:
    """What is on the host, without changing anything; with `sweep`, fences that are past their time go."""
    lib = library.for_commands(scripts, [library.IDENTITY, *([("sd_sweep",)] if sweep else [])])
    return _whole(lib + ("sd_find_base && sd_sweep\n" if sweep else "") + step(scripts, "status"))


def facts(scripts: HostScripts, probes: Mapping[str, Argv], tools: Argv) -> str:
    """Identity, marker, tools, and the answers to the fault's probes: `probe <name> <code> <base64 of stdout>`."""
    body = [
        assignments({"SD_TOOLS": " ".join(tools)}),
        library.for_commands(scripts, [library.IDENTITY, library.BOOT_HOOK, *probes.values()]),
        step(scripts, "facts"),
    ]
    for name, argv in probes.items():
        body.append(
            f'sd_text=$({words(argv)} 2>/dev/null)\necho "probe {name} $? $(printf "%s\\n" "$sd_text" | base64 | tr -d "\\n")"\n'
        )
    return _whole("".join(body) + "exit 0\n")


def halt(scripts: HostScripts, reason: str) -> str:
    """Halt the host: refuse every further inject."""
    return _whole(library.core(scripts) + assignments({"SD_REASON": reason}) + step(scripts, "halt"))


def lift(scripts: HostScripts) -> str:
    """Lift the halt."""
    return _whole(library.core(scripts) + step(scripts, "lift"))


def decode_probe(text: str) -> str:
    """The stdout of a probe as `facts` encodes it."""
    return base64.b64decode(text, validate=True).decode("utf-8", "replace")
