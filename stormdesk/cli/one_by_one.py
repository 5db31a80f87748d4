"""Game days one after the other: what runs, what is left, when it will be over; and one table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stormdesk.core import series, suites
from stormdesk.core.errors import ExitCode, RefusedError, TransportError, UsageError
from stormdesk.ssh.signals import LeaveNow, defer_signals, safe_point

if TYPE_CHECKING:
    from concurrent.futures import Future

    from stormdesk.cli.game_days import Day
    from stormdesk.cli.runbooks import Entry
    from stormdesk.core.series import Ended
    from stormdesk.run.gameday import Planned

AT_ONCE = 8  # plans in the making: each mostly waits for its hosts


def _keep_nothing(_: Sequence[Ended]) -> None:
    """For what cannot be resumed."""


class Series:
    """`ended` are those that came to their end, also in an earlier command; `keep` writes them down after each. `stopped` says why
    not all were run."""

    def __init__(
        self,
        day: Day,
        entries: Sequence[Entry],
        ended: Sequence[Ended] = (),
        keep: Callable[[Sequence[Ended]], None] = _keep_nothing,
    ) -> None:
        self.ended = list(ended)
        self.stopped = ""
        self._signalled = False
        self.day = day
        self._entries = entries
        self._keep = keep

    @property
    def left(self) -> list[Entry]:
        """Those that did not come to their end, in order."""
        done = {each.name for each in self.ended}
        return [entry for entry in self._entries if entry.name not in done]

    @property
    def exit_code(self) -> ExitCode:
        """That of all; 4 where a signal stopped them."""
        code = series.exit_code(self.ended) if self.ended else ExitCode.HELD
        return ExitCode.worst(code, ExitCode.STOPPED) if self._signalled else code

    def run(self) -> None:
        """Play what is left, until somebody stops it or hosts may be dirty."""
        for entry in self.left:
            self.day.show.say(self._where(entry))
            try:
                self._play(entry)
            except LeaveNow:
                raise
            except KeyboardInterrupt as signal:
                self._signalled, self.stopped = True, f"{str(signal) or 'Ctrl-C'} before {entry.name}"
            if self.stopped:
                return

    def plan(self) -> None:
        """Only plan them: over connections and with readings that all share, because nothing is touched between them."""
        from stormdesk.ssh.read_once import ReadOnce
        from stormdesk.ssh.threads import Threads

        threads = Threads(AT_ONCE)
        with ReadOnce(self.day.hosts, self.day.dialer) as pool:
            planned = [(entry, threads.submit(self.day.plan, entry, pool)) for entry in self._entries]
            threads.shutdown()
            for entry, answer in planned:
                self.day.show.say(f"{len(self.ended) + 1} of {len(self._entries)}: {entry.name}")
                try:
                    plan = _waited(answer)
                    outcome = plan.show(self.day.show)
                except (RefusedError, UsageError, TransportError) as error:
                    self.day.show.say(f"{entry.name} would not be run: {error}")
                    self._end(series.refused(entry.name, entry.book.scenarios, error))
                else:
                    self._end(series.ended(entry.name, entry.book.scenarios, outcome, plan.took_s))

    def _play(self, entry: Entry) -> None:
        began, day, scenarios = time.monotonic(), self.day, entry.book.scenarios
        try:
            outcome = day.play(entry)
        except (RefusedError, UsageError, TransportError) as error:
            day.show.say(f"{entry.name} was not run: {error}")
            self._end(series.refused(entry.name, scenarios, error))
            return
        if outcome.by_signal:
            self._signalled, self.stopped = True, f"a signal during {entry.name}"
            return
        aborted = day.aborted(entry.name, outcome.exit_code, outcome.why)
        self._end(series.ended(entry.name, scenarios, outcome, time.monotonic() - began))
        if outcome.residue == "dirty":
            self.stopped = f"hosts may be dirty after {entry.name}: {outcome.next}"
        elif aborted is not None:
            self.stopped = f"{entry.name} failed, and the desk is in its safe state"

    def _end(self, ended: Ended) -> None:
        with defer_signals():
            self.ended.append(ended)
            self._keep(self.ended)

    def _where(self, entry: Entry) -> str:
        """`3 of 12: kill-trader   9 left after it   over between 14:20 and 14:52 UTC, by their timers`."""
        left = self.left
        timers = [suites.timers(each.book) for each in left]
        now = time.time()
        least, most = (_clock(now + sum(times)) for times in zip(*timers, strict=True))
        number, total = len(self.ended) + 1, len(self.ended) + len(left)
        after = f"{len(left) - 1} left after it   " if len(left) > 1 else ""
        return f"{number} of {total}: {entry.name}   {after}over between {least} and {most} UTC, by the timers"

    def show(self) -> None:
        """The table of all."""
        self.day.show.gathering().rows("runs", series.rows(self.ended))
        left = f"; {len(self.left)} left" if self.left else ""
        self.day.show.say(series.counts(self.ended) + left)
        if self.stopped:
            self.day.show.say(f"stopped: {self.stopped}")


def _waited(planned: Future[Planned]) -> Planned:
    """Look for signals while it is made."""
    from stormdesk.ssh import parallel

    with defer_signals():
        parallel.watch([planned], safe_point)
    return planned.result()


def _clock(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%H:%M")
