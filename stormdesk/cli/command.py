"""A task of ours: its typed options, its effect, and its result as an exit code and one line.

invoke parses. A word without a flag is never a value (`positional=[]`), flags have no short forms (`auto_shortflags=False`), and an
exception of a task becomes an exit code of stormdesk/core/errors.py and one line. The rules:

    the most serious exit code wins; errors say what, why and what to type, on one line; a traceback only with --debug
    --dry and --plan after a task's name change nothing; --json means one object on stdout and all else on stderr
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from stormdesk.cli import fault_flags
from stormdesk.cli.options import Options
from stormdesk.cli.spoken import spoken
from stormdesk.core.errors import ExitCode, StormdeskError, UsageError
from stormdesk.core.values import Patience, Value, printable
from stormdesk.ssh import patience

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

DEBUG_HELP = "on an error, show the traceback too"
PATIENCE_HELP = "wait this many times as long for slow hosts; never changes when a host heals by itself"
PLAN_HELP = "say what would be done; change nothing"
NOTHING: Mapping[str, str] = {}


class Command(Task[Any]):
    """A task of ours. `effect` says what it changes, with its parameters in braces; "" when it changes nothing.

    Its body gets an Options first, then its own parameters by name, and returns an exit code or None. Every command has
    --debug; one with an effect also has --plan, unless it plans by itself; one that waits for hosts has --patience (`waits`; by
    default all that take --env or --inventory).
    """

    def __init__(
        self,
        body: Callable[..., Any],
        *,
        shared: Mapping[str, str] = NOTHING,
        effect: str = "",
        hint: str = "",
        kinds: Mapping[str, type[Value]] | None = None,
        waits: bool = False,
        help: Mapping[str, str] = NOTHING,  # noqa: A002 -- invoke's name
        **rest: Any,
    ) -> None:
        self.shared = tuple(shared)
        super().__init__(body, positional=[], auto_shortflags=False, help={**shared, **help}, **rest)
        self.effect = effect
        self.hint = hint
        self.kinds = kinds or {}
        self.plans = "plan" in self.argspec(body).parameters
        self.waits = waits or bool({*fault_flags.TARGETS} & {*self.argspec(body).parameters})

    @override
    def argspec(self, body: Callable[..., Any]) -> Signature:
        own = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in super().argspec(body).parameters.values()]
        defaults = Options()
        shared = [Parameter(n, Parameter.KEYWORD_ONLY, default=getattr(defaults, n)) for n in self.shared]
        return Signature([*own, *shared])

    @override
    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        mine = dict(self.help)  # invoke empties it while reading, and reads it more than once
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
        as_json = kwargs.get("json", False)
        patience.use(float(kwargs.pop("patience", 1)))
        plan = kwargs.get("plan", False) if self.plans else kwargs.pop("plan", False)
        plan = plan or bool(args[0].config.run.dry)
        if self.plans:
            kwargs["plan"] = plan
        elif plan and self.effect:
            print(f"would {self.effect.format(**kwargs)}. Nothing was changed.")
            return None
        options = Options(**{name: kwargs.pop(name) for name in self.shared if name in kwargs})
        code = outcome(lambda: self.body(options, **kwargs), debug=debug, as_json=as_json)
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


class FlagReader:
    """Parses the value of one flag, and puts the flag in front of an error. invoke requires its `__name__`."""

    def __init__(self, flag: str, kind: type[Value]) -> None:
        self.__name__ = kind.WORD
        self.flag = flag
        self.kind = kind

    def __call__(self, text: Any) -> Value:
        try:
            return self.kind(text)  # type: ignore[call-arg]  # each kind has its own base type
        except UsageError as error:
            raise UsageError(f"{self.flag} {error}") from None


def command(shared: Mapping[str, str] = NOTHING, **rest: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a task; see Command. `shared` are its options from cli/options.py."""
    return lambda body: Command(body, shared=shared, **rest)


def outcome(act: Callable[[], Any], *, debug: bool, as_json: bool) -> int:
    """Call `act`; an exception becomes one line on stderr and an exit code."""
    from stormdesk.cli import streams
    from stormdesk.ssh.signals import LeaveNow, Signals

    try:
        with Signals():
            code = int(act() or ExitCode.HELD)
        streams.complain()
        return code  # a closed pipe or a full disk behind stdout does not change the result
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
    print("\n".join(printable(line) for line in spoken(message).splitlines()), file=sys.stderr)
    if as_json:
        Options(json=True).show.result({"error": message, "exit_code": int(code)})
    return int(code)
