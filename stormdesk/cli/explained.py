"""Errors of invoke's parser, reworded to say what to type."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument

from stormdesk.cli import menu
from stormdesk.cli.command import FlagReader


def parse_error(error: ParseError, namespace: Collection, words: Sequence[str]) -> str:
    """One line about `words`, which invoke could not parse as tasks of `namespace`."""
    context = error.context
    if match := re.fullmatch(r"No idea what (.*) is!", str(error), re.DOTALL):
        word = str(ast.literal_eval(match[1]))
        if context is None or not context.name:
            return menu.unknown_task(word, namespace.task_names, namespace.collections)
        flags = {flag: argument.takes_value for flag, argument in context.flags.items()}
        return _unknown_word(word, str(context.name), flags, namespace, words)
    if context and (match := re.match(r"Flag <Argument: (\S+?)[ >]", str(error))):
        return _no_value(context.args[match[1]], str(context.name))
    return f"{error}   invoke --list shows all tasks"


def _unknown_word(word: str, task: str, flags: Mapping[str, bool], namespace: Collection, words: Sequence[str]) -> str:
    """The message about a word that invoke does not know; `flags` says for each flag whether it takes a value."""
    if word.startswith("-"):
        blob = next((typed for typed in words if re.match("-[^-]", typed) and "-" + typed in flags), word)
        return menu.unknown_flag(task, blob, list(flags))
    if menu.looks_like_a_task(word, namespace.task_names):
        return menu.unknown_task(word, namespace.task_names, namespace.collections)
    before = words[words.index(word) - 1] if word in words else ""
    return menu.stray_value(task, word, before, flags)


def _no_value(argument: Argument, task: str) -> str:
    kind = argument.kind
    example = f", e.g. --{argument.names[0]} {kind.kind.EXAMPLE}" if isinstance(kind, FlagReader) else ""
    return f"--{argument.names[0]} needs a value{example}   (invoke {task} --help)"
