"""The command line program: invoke's, with our own menus, suggestions and exit codes.

`stormdesk` is this program; `invoke` becomes it when it loads a tasks.py with our tasks (`take_over`). Differences from invoke: a task
that is typed twice runs twice (`Typed`); a line that cannot be parsed ends with exit code 2 and one line; invoke's own flags after a
task's name are refused where invoke would ignore them.

Imports are lazy: modules for a single task are imported when it runs.
"""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Iterable
from typing import NoReturn

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.executor import Executor
from invoke.program import Program
from invoke.tasks import Call

from stormdesk import __version__
from stormdesk.cli import explained, menu
from stormdesk.cli.command import Command
from stormdesk.cli.options import Options
from stormdesk.cli.spoken import spoken
from stormdesk.core.errors import ExitCode, StormdeskError, UsageError
from stormdesk.core.values import printable
from stormdesk.faults import DEMO

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

ON_A_STACK = ("stack", "venue")  # groups for users of the trading stack; others do not see them, but may use them
# invoke's own flags that work after a task's name; it ignores the others there.
AFTER_A_TASK = ("help", "dry", "list", "list-format", "list-depth", "debug")


class Typed(Executor):
    """Runs our tasks as often as they were typed. Other tasks run as in invoke: identical calls run once."""

    @override
    def dedupe(self, calls: list[Call]) -> list[Call]:
        kept: list[Call] = []
        for call in calls:
            typed = call.called_as is not None  # not the pre- or post-task of another
            if call not in kept or (typed and isinstance(call.task, Command)):
                kept.append(call)
        return kept


class Front(Program):
    """invoke's program and parser, with lists and errors of our own."""

    @override
    def parse_tasks(self) -> None:
        if self.args["complete"].value:  # a shell completes a line
            super().parse_tasks()
            return
        from stormdesk.cli import catalogue, streams

        streams.keep()
        for problem in catalogue.found().problems:
            print(problem, file=sys.stderr)
        words = list(self.core.unparsed)
        self._print_what_was_asked(words)
        try:
            super().parse_tasks()
        except ParseError as error:
            _stop(explained.parse_error(error, self.collection, words), words)
        except UsageError as error:
            _stop(str(error), words)
        self._refuse_swallowed_flags(words)

    def _print_what_was_asked(self, words: list[str]) -> None:
        """Menus: `invoke chaos`, `invoke --list`, `invoke --help chaos`. An unknown name is an error."""
        groups = self.collection.collections
        asked = self.args["help"].value or self.args["list"].value
        if words and words[0] in groups and set(words[1:]) <= {"--help", "-h", "--list", "-l"}:
            self.print_menu(words[0])
        if isinstance(asked, str) and asked in groups:
            self.print_menu(asked)
        if isinstance(asked, str) and asked not in self.collection.task_names:
            _stop(menu.unknown_task(asked, self.collection.task_names, groups), [])
        flat = self.args["list"].value is True and self.args["list-format"].value == "flat"
        if flat and not words and sys.stdout.isatty():
            self.print_menu()

    def _refuse_swallowed_flags(self, words: list[str]) -> None:
        first = self.tasks[0] if self.tasks else None
        if first is None or not isinstance(self.collection[str(first.name)], Command):
            return
        for name, argument in self.core_via_tasks.args.items():
            if argument.got_value and name not in AFTER_A_TASK:
                _stop(menu.unknown_flag(str(first.name), f"--{name}", list(first.flags)), words)

    @override
    def list_tasks(self) -> None:
        if not self.list_root:
            self.scoped_collection = _shown(self.collection)
        super().list_tasks()

    def print_menu(self, group: str = "") -> NoReturn:
        """Print the tasks, or those of one group, and end."""
        where = self.collection.collections[group] if group else _shown(self.collection)
        entries = list(_entries(where, f"{group}." if group else ""))
        example = f"{group}.{next(iter(where.tasks))}" if group else f"chaos.{DEMO.name}"
        footer = [f"Help on one: invoke {example} --help"]
        if not group:
            footer.insert(0, "Try first:   invoke doctor && invoke demo")
            hidden = [name for name in self.collection.collections if name not in where.collections]
            footer += [f"On Stormdesk's own trading stack there are more: invoke --list {name}" for name in hidden]
        title = "" if group else f"Stormdesk {__version__} · {_where_we_are()}"
        print(spoken(menu.menu(title, entries, footer, shutil.get_terminal_size().columns)))
        raise Exit(code=0)


def take_over() -> None:
    """Turn invoke's running program into a Front, if it is loading our tasks; it parses the line only afterwards."""
    main = sys.modules.get("invoke.main")
    program = getattr(main, "program", None)
    if type(program) is Program and hasattr(program, "core"):  # otherwise tasks.py was imported for another reason
        program.__class__ = Front
        if program.executor_class is Executor:
            program.executor_class = Typed


def _shown(namespace: Collection) -> Collection:
    """The tasks shown in lists: all of them in a checkout, and in a project with an environment."""

    def ours(name: str) -> bool:
        group = namespace.collections.get(name)
        return group is not None and all(isinstance(task, Command) for task in group.tasks.values())

    if ours("dev"):
        return namespace
    from stormdesk.infra import existing  # costs as much as all other imports of a list

    try:
        if any(item.state != "elsewhere" for item in existing.environments()):
            return namespace
    except StormdeskError:
        return namespace
    shown = copy.copy(namespace)
    shown.collections = copy.copy(namespace.collections)
    for name in filter(ours, ON_A_STACK):
        del shown.collections[name]  # type: ignore[no-untyped-call]
    return shown


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
        Options(json=True).show.result({"error": message, "exit_code": int(ExitCode.USAGE)})
    raise Exit(message=printable(spoken(message)), code=ExitCode.USAGE)
