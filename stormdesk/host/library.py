"""Which parts of the host library a script needs. Pure: names and texts in, text out.

`core/` is all that a watchdog needs to revert, `picture/` to see whether that worked; both are in every script. `verbs/` are
what plans, probes and witnesses name; a script has just those functions that its words name, and the ones that these call.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping

from stormdesk.core.errors import UsageError
from stormdesk.core.model import Argv
from stormdesk.core.plan import Plan
from stormdesk.core.shell import assignments
from stormdesk.core.states import as_shell

HostScripts = Mapping[str, str]  # path below stormdesk/host -> text, e.g. "core/clock.sh"

_DEFINED = re.compile(r"^(sd_\w+)\(\)", re.MULTILINE)
_FUNCTION = re.compile(r"^(sd_\w+)\(\) [{(]\n.*?^[)}]\n", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"\bsd_\w+")
CORE = ("core/", "picture/")
BOOT_HOOK: Argv = ("sd_boot_hook_possible",)
IDENTITY: Argv = ("sd_identity",)
_ARM: Argv = ("sd_discard",)  # what steps/arm.sh needs besides the core; for a persistent fault these too
_ARM_PERSISTENT = (BOOT_HOOK, ("sd_boot_hook_install",))
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_BLANK = re.compile(r"^\n", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*#.*\n|  # .*$", re.MULTILINE)
_STRING = re.compile(r'("(?:\\.|[^"\\])*")')
_SPACED = re.compile(
    r" ?(;|,|==|!=|=|&&|\|\||\{) "
)  # the same in awk without the blanks; no regular expression there has these


def core(scripts: HostScripts) -> str:
    """The core and the pictures, as one text, with the table of states; a program `<name>.awk` is in $sd_<name>_awk."""
    texts = [as_shell()]
    for name, text in sorted(scripts.items()):
        if name.startswith(CORE):
            program = name.rpartition("/")[2].removesuffix(".awk")
            texts.append(
                assignments({f"sd_{program}_awk": _tight(bare(text))}) if name.endswith(".awk") else bare(text)
            )
    return "".join(texts)


def step(scripts: HostScripts, name: str) -> str:
    """One step of the protocol, e.g. "arm"."""
    return bare(scripts[f"steps/{name}.sh"])


def bare(text: str) -> str:
    """A file without comments, indentation and blank lines: they are for those who read it here."""
    return _BLANK.sub("", _INDENT.sub("", _COMMENT.sub("", text)))


def _tight(program: str) -> str:
    """An awk program without the blanks around its operators, outside of strings."""
    return "".join(part if part.startswith('"') else _SPACED.sub(r"\1", part) for part in _STRING.split(program))


def verbs(scripts: HostScripts, commands: Iterable[Argv]) -> tuple[str, ...]:
    """The words of `verbs/` that these commands need, also those that they give to others. Raises UsageError for a command
    `sd_...` that no file defines."""
    homes, functions = defined(scripts), _functions(scripts)
    commands = [argv for argv in commands if argv]
    wanted = {argv[0] for argv in commands if argv[0].startswith("sd_")}
    if unknown := sorted(wanted - set(homes)):
        raise UsageError(
            f"the host library has no {unknown[0]}: stormdesk/host/verbs/ has the words that plans may use"
        )
    wanted |= {word for argv in commands for word in argv} & set(homes)
    needed: set[str] = set()
    while wanted:
        word = wanted.pop()
        if word in functions and word not in needed:
            needed.add(word)
            wanted |= set(_WORD.findall(_COMMENT.sub("", functions[word]))) & set(homes)
    return tuple(sorted(needed))


def defined(scripts: HostScripts) -> Mapping[str, str]:
    """Each word of the library, and the file that defines it."""
    files = [name for name in scripts if name.startswith((*CORE, "verbs/"))]
    words = {word: name for name in files for word in _DEFINED.findall(scripts[name])}
    return words | {_program(name): name for name in files if name.endswith(".py")}


def of_plan(scripts: HostScripts, plan: Plan) -> tuple[str, str]:
    """(lib.sh, verbs.sh) of a run: what its watchdog needs to undo it, and what only its inject and witness need besides."""
    undo = verbs(scripts, [argv for each in plan.change.steps for argv in each.undo])
    do = [_ARM, *(each.do for each in plan.change.steps), plan.proof.baseline, plan.proof.witness, plan.proof.still]
    do += _ARM_PERSISTENT if plan.change.persistent else ()
    do += [argv for argv, _ in plan.change.rechecks]
    more = [word for word in verbs(scripts, do) if word not in undo]
    return core(scripts) + _texts(scripts, undo), _texts(scripts, more)


def for_commands(scripts: HostScripts, commands: Iterable[Argv]) -> str:
    """The core, and the verbs that these commands name."""
    return core(scripts) + _texts(scripts, verbs(scripts, commands))


def _texts(scripts: HostScripts, words: Iterable[str]) -> str:
    functions = _functions(scripts)
    return "".join(bare(functions[word]) for word in words)


def _functions(scripts: HostScripts) -> Mapping[str, str]:
    """Each word of `verbs/` and its text: a function, or a variable with a program."""
    files = [(name, text) for name, text in scripts.items() if name.startswith("verbs/")]
    words = {found[1]: found[0] for _, text in files for found in _FUNCTION.finditer(text)}
    return words | {
        _program(name): assignments({_program(name): _packed(text)}) for name, text in files if name.endswith(".py")
    }


def _program(name: str) -> str:
    """The variable with the program `verbs/<name>.py`."""
    return f"sd_{name.rpartition('/')[2].removesuffix('.py')}_py"


def _packed(text: str) -> str:
    """A program so that it takes little of the script: base64 of zlib."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
