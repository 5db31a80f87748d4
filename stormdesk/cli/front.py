"""What stands between the command line and the library: task types, errors and exit codes, menu, did-you-mean.

invoke parses; four things that it does are not fit for a tool that breaks hosts, and are put right here, without
touching it: flags after a task's name never become values (`positional=[]`, `auto_shortflags=False`); a task that is
typed twice runs twice (`Typed`); what it cannot parse ends with exit code 2 and one line; what a task raises ends with a
code of stormdesk/core/errors.py and one line.
Where flags become library calls is cli/commands.py. The rules:

    the most serious exit code wins; errors say what, why and what to type, on one line; a traceback only with --debug
    --dry and --plan after a task's name change nothing; --json means one object on stdout and all else on stderr

Imports are lazy: what only one task needs is imported when that task runs.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import invoke.main
from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.executor import Executor
from invoke.parser.argument import Argument
from invoke.parser.parser import Parser
from invoke.tasks import Call, Task

from stormdesk import __version__
from stormdesk.cli import fault_flags, menu
from stormdesk.core.errors import ExitCode, StormdeskError, UsageError
from stormdesk.core.values import Patience, Value, printable
from stormdesk.ssh import patience

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from stormdesk.cli.show import Show

# invoke's own flags that mean something after a task's name; the others would be swallowed there.
AFTER_A_TASK = ("help", "dry", "list", "list-format", "list-depth", "debug")
DEBUG_HELP = "on an error, show the traceback too"
PATIENCE_HELP = "wait this many times as long for slow hosts; never changes when a host heals by itself"
PLAN_HELP = "say what would be done; change nothing"
Act = Callable[[str, Mapping[str, Any]], Any]
_GUARDED: list[Collection] = []  # the one that this process's command line was looked at with


class Command(Task[Any]):
    """A task of ours. `effect` says what it changes, with its parameters in braces; "" when it changes nothing.

    Every command has --debug; one with an effect has --plan too, unless it plans by itself; one that waits for hosts has
    --patience (`waits`; by default those that say which hosts). Its body returns an exit code or None.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        *,
        effect: str = "",
        hint: str = "",
        kinds: Mapping[str, type[Value]],
        waits: bool = False,
        **rest: Any,
    ) -> None:
        super().__init__(body, positional=[], auto_shortflags=False, **rest)
        self.effect = effect
        self.hint = hint
        self.kinds = kinds
        self.plans = "plan" in self.argspec(body).parameters
        self.waits = waits or bool({*fault_flags.TARGETS} & {*self.argspec(body).parameters})

    @override
    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        guard()
        mine = dict(self.help)  # invoke empties it while reading, and asks more than once
        arguments = super().get_arguments(ignore_unknown_help)
        self.help = mine
        for argument in arguments:
            self._type(argument)
        if self.effect and not self.plans:
            arguments.append(Argument(name="plan", kind=bool, default=False, help=PLAN_HELP))
        if self.waits:
            argument = Argument(name="patience", kind=Patience, default=Patience(1), help=PATIENCE_HELP)
            self._type(argument)
            arguments.append(argument)
        arguments.append(Argument(name="debug", kind=bool, default=False, help=DEBUG_HELP))
        return arguments

    @override
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        debug = kwargs.pop("debug", False)
        patience.use(float(kwargs.pop("patience", 1)))
        plan = kwargs.get("plan", False) if self.plans else kwargs.pop("plan", False)
        plan = plan or bool(args[0].config.run.dry)
        if self.plans:
            kwargs["plan"] = plan
        elif plan and self.effect:
            print(f"would {self.effect.format(**kwargs)}. Nothing was changed.")
            return None
        code = outcome(
            lambda: super(Command, self).__call__(*args, **kwargs), debug=debug, as_json=kwargs.get("json", False)
        )
        if code:
            raise Exit(code=code)
        return None

    def _type(self, argument: Argument) -> None:
        kind = self.kinds.get(str(argument.name), argument.kind)
        if not issubclass(kind, Value):
            return
        flag = f"--{argument.names[0]}"
        default = "" if argument.default is None else f" (default: {argument.default})"
        argument.help = f"{kind.WORD}  {argument.help}{default}"
        argument.kind = FlagReader(flag, kind)


class Typed(Executor):
    """Runs our tasks as often as they were typed. All else is as invoke does it: what is the same runs once."""

    @override
    def dedupe(self, calls: list[Call]) -> list[Call]:
        kept: list[Call] = []
        for call in calls:
            typed = call.called_as is not None  # not the pre- or post-task of another
            if call not in kept or (typed and isinstance(call.task, Command)):
                kept.append(call)
        return kept


class FlagReader:
    """Reads the value of one flag; what the kind says against it gets the flag in front. invoke wants a name on it."""

    def __init__(self, flag: str, kind: type[Value]) -> None:
        self.__name__ = kind.WORD
        self.flag = flag
        self.kind = kind

    def __call__(self, text: Any) -> Value:
        try:
            return self.kind(text)  # type: ignore[call-arg]  # each kind has its own base type
        except UsageError as error:
            raise UsageError(f"{self.flag} {error}") from None


def command(
    *,
    effect: str = "",
    hint: str = "",
    kinds: Mapping[str, type[Value]] | None = None,
    waits: bool = False,
    **rest: Any,
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a task; see Command. `kinds` types the flags whose default is None."""
    return lambda body: Command(body, effect=effect, hint=hint, kinds=kinds or {}, waits=waits, **rest)


def fault_commands(act: Act) -> list[Command]:
    """One task for each fault of the catalogue; `act` gets its name and the values of its flags."""
    from stormdesk.cli import catalogue

    about = "{0.title}.\n\nUndo: {0.undo}.\nNeeds on the host: {1}."
    return [
        _fault_command(name, fault, act, fault_flags.COMMON, about.format(fault, ", ".join(fault.needs)))
        for name, fault in catalogue.faults().items()
    ]


def venue_commands(act: Act) -> list[Command]:
    """One task for each of the venue's own faults; `act` as above."""
    from stormdesk.testnet.venue.faults import FAULTS

    about = "{0.title}.\n\n{0.__doc__}\nUndo: the venue is asked to end it; it ends by itself at its deadline."
    return [
        _fault_command(
            name, fault, act, fault_flags.VENUE, about.format(fault)
        )  # the class for runs is made when one is
        for name, fault in FAULTS.items()
    ]


def _fault_command(name: str, fault: type[Any], act: Act, common: fault_flags.Flags, about: str) -> Command:
    def body(context: Context, **values: Any) -> Any:  # noqa: ARG001 -- invoke's protocol
        return act(name, values)

    body.__doc__ = about
    body.__signature__ = fault_flags.signature(fault, common)  # type: ignore[attr-defined]
    return Command(
        body,
        name=name,
        hint=fault_flags.hint(fault, common),
        help=dict(fault_flags.helps(fault, common)),
        kinds=fault_flags.kinds(fault),
        iterable=["host"] if "host" in common else [],
    )


def show(as_json: bool) -> Show:
    """The presenter for this process's streams."""
    from stormdesk.cli.show import Show

    return Show.auto(as_json=as_json)


def outcome(act: Callable[[], Any], *, debug: bool, as_json: bool) -> int:
    """Do it, and turn whatever it raises into one line on stderr and an exit code."""
    from stormdesk.cli import streams
    from stormdesk.ssh.signals import LeaveNow, Signals

    try:
        with Signals():
            code = int(act() or ExitCode.HELD)
        streams.complain()
        return code  # a reader that went away, or a full disk behind it, changes nothing of what was done
    except Exit:
        raise
    except StormdeskError as error:
        return _failed(str(error), error.exit_code, debug=debug, as_json=as_json)
    except LeaveNow:
        left = "left at once; what was begun may be unfinished.   invoke chaos.status, invoke env.list"
        return _failed(left, ExitCode.DIRTY, debug=debug, as_json=as_json)
    except KeyboardInterrupt:
        return _failed("stopped", ExitCode.STOPPED, debug=debug, as_json=as_json)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the user gets one line and code 70
        what = f"internal error: {type(error).__name__}: {error}".splitlines()[0]
        hint = "" if debug else "   Type it again with --debug for the traceback"
        return _failed(f"{what}{hint}", ExitCode.BUG, debug=debug, as_json=as_json)


def _failed(message: str, code: ExitCode, *, debug: bool, as_json: bool) -> int:
    if debug:
        traceback.print_exc()
    print("\n".join(printable(line) for line in message.splitlines()), file=sys.stderr)
    if as_json:
        show(True).result({"error": message, "exit_code": int(code)})
    return int(code)


def guard() -> None:
    """Parse what was typed as invoke is about to, and answer for it where it would not.

    Called when invoke asks the first task for its flags: then all tasks are there, those of a project around ours too.
    invoke's own parser decides; only its errors are put in other words, and get exit code 2.
    """
    program = invoke.main.program
    namespace = getattr(program, "collection", None)
    if namespace is None or _GUARDED or program.args["complete"].value:
        return  # somebody imports tasks.py, or a shell completes a line
    _GUARDED.append(namespace)
    if program.executor_class is Executor:
        program.executor_class = Typed
    from stormdesk.cli import catalogue, streams

    streams.keep()
    for problem in catalogue.found().problems:
        print(problem, file=sys.stderr)
    words = list(program.core.unparsed)
    asked = program.args["help"].value or program.args["list"].value
    if words and words[0] in namespace.collections and set(words[1:]) <= {"--help", "-h", "--list", "-l"}:
        _print_menu(namespace, words[0])
    if isinstance(asked, str):
        _check_asked(namespace, asked)
    if (
        program.args["list"].value is True
        and not words
        and program.args["list-format"].value == "flat"
        and sys.stdout.isatty()
    ):
        _print_menu(namespace, "")
    if words:
        _check_words(namespace, words)


def _check_words(namespace: Collection, words: list[str]) -> None:
    program = invoke.main.program
    contexts = namespace.to_contexts()
    try:
        parsed = Parser(initial=program.initial_context, contexts=contexts).parse_argv(list(words))
    except ParseError as error:
        _stop(_explained(error, namespace, words), words)
    except UsageError as error:
        _stop(str(error), words)
    for name, argument in parsed[0].args.items():
        ours = len(parsed) > 1 and isinstance(namespace[str(parsed[1].name)], Command)
        if argument.got_value and name not in AFTER_A_TASK and ours:
            flags = list(parsed[1].flags)
            _stop(menu.unknown_flag(str(parsed[1].name), f"--{name}", flags), words)


def _check_asked(namespace: Collection, asked: str) -> None:
    """`--help X` and `--list X`: X must exist."""
    if asked in namespace.collections:
        _print_menu(namespace, asked)
    if asked not in namespace.task_names:
        _stop(menu.unknown_task(asked, namespace.task_names, namespace.collections), [])


def _explained(error: ParseError, namespace: Collection, words: Sequence[str]) -> str:
    tasks = list(namespace.task_names)
    context = error.context
    flags = {flag: argument.takes_value for flag, argument in context.flags.items()} if context and context.name else {}
    if match := re.fullmatch(r"No idea what (.*) is!", str(error), re.DOTALL):
        word = str(ast.literal_eval(match[1]))
        if context is None or not context.name:
            return menu.unknown_task(word, tasks, namespace.collections)
        if word.startswith("-"):
            blob = next((typed for typed in words if re.match("-[^-]", typed) and "-" + typed in flags), word)
            return menu.unknown_flag(str(context.name), blob, list(flags))
        if menu.looks_like_a_task(word, tasks):
            return menu.unknown_task(word, tasks, namespace.collections)
        before = words[words.index(word) - 1] if word in words else ""
        return menu.stray_value(str(context.name), word, before, flags)
    if context and (match := re.match(r"Flag <Argument: (\S+?)[ >]", str(error))):
        argument = context.args[match[1]]
        example = (
            f", e.g. --{argument.names[0]} {argument.kind.kind.EXAMPLE}"
            if isinstance(argument.kind, FlagReader)
            else ""
        )
        return f"--{argument.names[0]} needs a value{example}   (invoke {context.name} --help)"
    return f"{error}   invoke --list shows all tasks"


def _print_menu(namespace: Collection, group: str) -> NoReturn:
    where = namespace.collections[group] if group else namespace
    entries = list(_entries(where, f"{group}." if group else ""))
    example = f"{group}.{next(iter(where.tasks))}" if group else "chaos.disk-full"
    footer = [f"Help on one: invoke {example} --help"]
    if not group:
        footer.insert(0, "Try first:   invoke doctor && invoke demo")
    title = "" if group else f"Stormdesk {__version__} · {_where_we_are()}"
    print(menu.menu(title, entries, footer, shutil.get_terminal_size().columns))
    raise Exit(code=0)


def _entries(namespace: Collection, prefix: str) -> Iterable[menu.Entry]:
    for name, task in namespace.tasks.items():
        about = (task.__doc__ or "").strip().split("\n")[0].rstrip(".")
        yield menu.Entry(f"{prefix}{name}", about, getattr(task, "hint", ""))
    for name, group in namespace.collections.items():
        yield from _entries(group, f"{prefix}{name}.")


def _where_we_are() -> str:
    from stormdesk.infra import existing

    try:
        there = [
            f"{e.name} (until {e.expires_at})" if e.expires_at else e.name
            for e in existing.environments()
            if e.state == "running"
        ]
    except StormdeskError:
        return "environments: unknown, see invoke env.list"
    return f"environments: {', '.join(there) or 'none'}"


def _stop(message: str, words: Iterable[str]) -> NoReturn:
    if "--json" in words:
        show(True).result({"error": message, "exit_code": int(ExitCode.USAGE)})
    raise Exit(message=printable(message), code=ExitCode.USAGE)
