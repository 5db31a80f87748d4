"""Presentation of a run: live on a terminal, one line per phase without one, one JSON object for programs.

    people  a terminal: aligned phases, with a progress line that is updated in place
    lines   no terminal, or CI is set: `<time> <level> <phase> key=value …`, one line a phase
    json    the lines go to stderr; stdout gets exactly one object, from `result()`

Nothing is decided here. Text may come from hosts, so it is made printable first.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol, Self, TextIO

from stormdesk.cli.spoken import spoken
from stormdesk.core.errors import ExitCode
from stormdesk.core.outcome import next_step
from stormdesk.core.values import duration, printable

NAME_WIDTH = 9  # the column of phase names, with its leading blank
RIGHT_WIDTH = 8  # the column of "ok", "FAILED" and times
WIDEST = 110  # columns; lines are not longer, even on a wider terminal
BAR_CELLS = 20
LANES_SHOWN = 12  # progress lines at once
SPARKS = "▁▂▃▄▅▆▇█"
PLAIN = str.maketrans({"█": "#", "░": ".", "·": "-", "→": ">", "…": "~", "—": "-", **dict.fromkeys(SPARKS[:-1], "+")})
WORDS = {
    ExitCode.HELD: ("PASS", "green"),
    ExitCode.VIOLATED: ("FAIL", "red"),
    ExitCode.USAGE: ("NOT RUN", "yellow"),
    ExitCode.REFUSED: ("REFUSED", "yellow"),
    ExitCode.STOPPED: ("STOPPED", "yellow"),
    ExitCode.DIRTY: ("UNKNOWN", "red"),
    ExitCode.BUG: ("BUG", "red"),
}
COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


class Mode(Enum):
    """The kind of output."""

    PEOPLE = "people"
    LINES = "lines"
    JSON = "json"


class Report(Protocol):
    """The result of an operator's command."""

    @property
    def exit_code(self) -> ExitCode: ...
    @property
    def lines(self) -> Sequence[str]: ...
    def as_json(self) -> Mapping[str, object]: ...


class Show:
    """The presenter of one task. `now` gives the wall clock in seconds, for the line mode's time column."""

    def __init__(
        self, mode: Mode, out: TextIO, *, width: int = 80, colour: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        self.mode = mode
        self._out = out
        self._width = max(20, min(width, WIDEST))
        self._colour = colour
        self._now = now
        self._unicode = "utf" in (getattr(out, "encoding", None) or "utf-8").lower()
        self._live = 0  # progress lines on the screen
        self.gathered: list[Mapping[str, object]] | None = None

    @classmethod
    def auto(cls, *, as_json: bool = False) -> Self:
        """A presenter for this process's streams and environment (CI, NO_COLOR, TERM)."""
        if as_json:
            return cls(Mode.JSON, sys.stderr)
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
        if not terminal:
            return cls(Mode.LINES, sys.stdout)
        width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
        return cls(Mode.PEOPLE, sys.stdout, width=width, colour=not os.environ.get("NO_COLOR"))

    def header(
        self, run_id: str, fault: str, hosts: Sequence[str], detail: str = "", hold_s: float | None = None
    ) -> None:
        """Start a run: the fault and its hosts, e.g. `trader-a (root@10.77.0.13:22)`."""
        held = duration(hold_s) if hold_s is not None else ""
        what = [", ".join(hosts), detail, f"for {held}" if held else ""]
        if self.mode is not Mode.PEOPLE:
            self._line(
                "info", "run", {"run": run_id, "fault": fault, "hosts": ",".join(hosts), "detail": detail, "for": held}
            )
            return
        start = f"run {run_id}  {fault}  "
        self._block(start.replace(fault, self._paint(fault, "bold")), 4, "  ".join(filter(None, what)), len(start))

    def phase(self, name: str, text: str, took_s: float | None = None, ok: bool | None = None) -> None:
        """One finished phase. `ok` None: there was nothing to judge."""
        if self.mode is not Mode.PEOPLE:
            level = "error" if ok is False else "info"
            self._line(
                level, name, {"ok": _word(ok), "took_s": "" if took_s is None else f"{took_s:.2f}", "text": text}
            )
            return
        right = "FAILED" if ok is False else f"{took_s:.1f} s" if took_s and took_s >= 0.05 else "ok" if ok else ""
        colour = "red" if ok is False else "green" if right == "ok" else "dim"
        room = self._width - NAME_WIDTH - 1 - (RIGHT_WIDTH if right else 0)
        first, *rest = textwrap.wrap(printable(text), max(10, room), break_on_hyphens=False) or [""]
        name_part = self._paint(f" {name:<{NAME_WIDTH - 1}}", "cyan")
        self._print(
            f"{name_part} {first:<{room}}{self._paint(f'{right:>{RIGHT_WIDTH}}', colour)}"
            if right
            else f"{name_part} {first}"
        )
        for line in rest:
            self._print(" " * (NAME_WIDTH + 1) + line)

    def progress(self, name: str, done: float, total: float, text: str) -> None:
        """Update the progress line of a phase; `done` of `total` in any unit. Only a terminal shows it."""
        self.lanes([(name, done, total, text)])

    def lanes(self, rows: Sequence[tuple[str, float, float, str]]) -> None:
        """Update the progress lines, one for each row of `progress`'s arguments; a long list is cut, so that it fits the screen."""
        if self.mode is not Mode.PEOPLE:
            return
        drawn = "\n".join(self._progress(*row) for row in rows[:LANES_SHOWN])
        self._write(self._erase() + drawn)
        self._live = min(len(rows), LANES_SHOWN)

    def _progress(self, name: str, done: float, total: float, text: str) -> str:
        cells = BAR_CELLS if self._width >= 70 else 8 if self._width >= 40 else 0
        part = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
        full = round(part * cells)
        bar = "█" * full + "░" * (cells - full) + (" " if cells else "")
        room = self._width - NAME_WIDTH - 2 - len(bar)  # one column less than the width, so that no terminal wraps it
        shown = printable(text)
        shown = shown if len(shown) <= room else shown[: max(0, room - 1)] + "…"
        return f"{self._paint(f' {printable(name)[: NAME_WIDTH - 2]:<{NAME_WIDTH - 1}}', 'cyan')} {self._paint(bar, 'yellow')}{shown}"

    def _erase(self) -> str:
        """What takes the progress lines away, and leaves the cursor where the first one was."""
        return "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._live - 1)

    def verdict(self, exit_code: int, verdict: str, residue: str, why: str, report: str = "", run: str = "") -> None:
        """End a run: the verdict, the state of the hosts, then what to type or open."""
        code = ExitCode(exit_code)
        type_next = next_step(code, residue, run)
        if self.mode is not Mode.PEOPLE:
            level = "info" if exit_code == ExitCode.HELD else "error"
            facts = {
                "exit_code": str(exit_code),
                "verdict": verdict,
                "residue": residue,
                "why": why,
                "next": type_next,
                "report": report,
            }
            self._line(level, "verdict", facts)
            return
        word, colour = ("DIRTY", "red") if residue == "dirty" else WORDS[code]
        hosts = {"clean": "Hosts clean: verified.", "dirty": "Hosts may be dirty."}.get(residue, "Nothing was changed.")
        if code is ExitCode.DIRTY and residue != "dirty":
            hosts += " The verdict is unknown."
        self._print("")
        self._block(
            f" {self._paint(word, colour, 'bold')}  ", len(word) + 3, f"{why.rstrip('.')}.  {hosts}", len(word) + 3
        )
        if type_next:
            self._print(f"   run:    {type_next}")
        if report:
            self._print(f"   report: {report}")

    def say(self, text: str) -> None:
        """A progress line, for tasks without phases."""
        if self.mode is Mode.PEOPLE:
            self._print(printable(text))
        else:
            self._line("info", "note", {"text": text})

    def result(self, document: Mapping[str, object]) -> None:
        """The single object of `--json`, on stdout. In the other modes everything is already shown."""
        if self.gathered is not None:
            self.gathered.append(document)
        elif self.mode is Mode.JSON:
            print(json.dumps(document, ensure_ascii=False), file=sys.stdout, flush=True)

    def gathering(self) -> Show:
        """The same presenter for one part of a task: results are collected in `gathered`, for the task's own result."""
        part = copy.copy(self)
        part.gathered = []
        return part

    def rows(self, what: str, rows: Sequence[Mapping[str, object]]) -> None:
        """A list: aligned columns for people, `{what: rows}` for programs."""
        if self.mode is not Mode.JSON:
            for line in table(rows) or [f"no {what}"]:
                self._print(line)
        self.result({what: rows})

    def report(self, report: Report) -> int:
        """Show the result of an operator's command; returns its exit code."""
        if self.mode is not Mode.JSON:
            for line in report.lines:
                self._print(printable(line))
        self.result(report.as_json())
        return int(report.exit_code)

    def _line(self, level: str, phase: str, facts: Mapping[str, str]) -> None:
        at = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        pairs = [f"{key}={_quoted(value)}" for key, value in facts.items() if value]
        self._print(" ".join([at, level, phase, *pairs]))

    def _block(self, start: str, indent: int, text: str, taken: int) -> None:
        """Wrapped text that starts at column `taken`; further lines are indented to it."""
        wrapper = textwrap.TextWrapper(self._width, " " * taken, " " * indent, break_on_hyphens=False)
        first, *rest = wrapper.wrap(printable(text))
        for line in (start + first[taken:], *rest):
            self._print(line)

    def _print(self, line: str) -> None:
        self._write((self._erase() if self._live else "") + line.rstrip() + "\n")
        self._live = 0

    def _write(self, text: str) -> None:
        # A closed terminal must not prevent a revert.
        with contextlib.suppress(OSError):
            shown = spoken(text)
            self._out.write(shown if self._unicode else shown.translate(PLAIN))
            self._out.flush()

    def _paint(self, text: str, *styles: str) -> str:
        if not self._colour or not text:
            return text
        return f"\x1b[{';'.join(COLOURS[style] for style in styles)}m{text}\x1b[0m"


def spark(values: Sequence[float], cells: int = 12) -> str:
    """A sparkline of the last `cells` values, from zero, e.g. `▂▂▃▇█▇`."""
    last = values[-cells:]
    top = max(last, default=0.0)
    return "".join(SPARKS[round((len(SPARKS) - 1) * max(0.0, value) / top)] if top > 0 else SPARKS[0] for value in last)


def table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Aligned columns under a header; the keys of the first row name them. Booleans and lists are written as words."""
    if not rows:
        return []
    cells = [[key.replace("_", " ") for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(key if good else f"{key} DOWN" for key, good in value.items())
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return printable(str(value))


def _word(ok: bool | None) -> str:
    return "" if ok is None else str(ok).lower()


def _quoted(value: str) -> str:
    """A logfmt value: bare when unambiguous, else a JSON string."""
    text = printable(value)
    return text if not any(c in text for c in ' "=') else json.dumps(text, ensure_ascii=False)
