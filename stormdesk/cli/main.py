"""The console script `stormdesk`: all tasks without a tasks.py, or those of a tasks.py that includes ours."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from invoke.exceptions import CollectionNotFound
from invoke.loader import FilesystemLoader

from stormdesk import __version__
from stormdesk.cli import spoken
from stormdesk.cli.front import Front, Typed

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class OwnOrOurs(FilesystemLoader):
    """Loads the project's tasks.py as invoke would, if it mentions stormdesk; any other is not for us, and not run."""

    @override
    def load(self, name: str | None = None) -> tuple[ModuleType, str]:
        if name is None and not self._takes_ours():
            return importlib.import_module("stormdesk.tasks"), os.getcwd()
        return super().load(name)

    def _takes_ours(self) -> bool:
        try:
            spec = self.find(self.config.tasks.collection_name)
        except CollectionNotFound:
            return False
        return bool(spec and spec.origin and "stormdesk" in Path(spec.origin).read_text(errors="replace"))


class Script(Front):
    """The program `stormdesk`. Without arguments it shows its menu."""

    @override
    def no_tasks_given(self) -> NoReturn:
        self.print_menu()


def main() -> None:
    """Run what was typed, and exit."""
    spoken.use("stormdesk")
    Script(
        name="Stormdesk",
        binary="stormdesk",
        binary_names=["stormdesk"],
        version=__version__,
        loader_class=OwnOrOurs,
        executor_class=Typed,
    ).run()
