"""The venue as the holder of an event: it keeps its answer back, at the request of its own host on its control port."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stormdesk.core.anchors import Event
from stormdesk.core.errors import HostError, RefusedError
from stormdesk.core.model import HostFacts
from stormdesk.core.outcome import HostEnd
from stormdesk.core.plan import Plan
from stormdesk.core.safety import Allow
from stormdesk.desk.venue_faults import CURL, control_url, host_of
from stormdesk.run.breakpoints import SPARE_S, Window
from stormdesk.run.record import Events
from stormdesk.ssh import patience
from stormdesk.ssh.pool import Pool

ANSWER_S = 5.0
BACK_S = 10.0  # how long a venue that the fault has ended may take to start again
UNKNOWN = "no such breakpoint"
WHAT = {"accepted": "accepted order", "filled": "fill", "canceled": "cancel"}


class VenueHolder:
    """Holds the answer to the nth order, fill or cancel from now on."""

    def __init__(self, pool: Pool, event: Event, within_s: float) -> None:
        self.event = event
        self.within_s = within_s
        self.host = host_of(pool.inventory)
        self.facts: Mapping[str, HostFacts] = {}
        self._pool = pool
        self._base = f"{control_url(pool.inventory.host(self.host))}/breakpoints"
        self._seq = 0
        self._id = f"b-{secrets.token_hex(6)}"
        self._url = f"{self._base}/{self._id}"

    def prepare(self, allow: Allow) -> Sequence[Plan]:  # noqa: ARG002
        # One that nobody has set is asked for: whoever answers 404 with our own words knows breakpoints.
        answer = self._ask(self._url)
        if answer.get("error") != UNKNOWN:
            raise RefusedError(f"{self.host}: the venue does not answer on {self._base}. Nothing was changed")
        return []

    def set(self, record: Events) -> str:  # noqa: ARG002
        for_s = self.within_s + patience.scaled(SPARE_S)
        body = json.dumps({"id": self._id, "on": self.event.venue, "nth": self.event.nth, "for_s": for_s})
        if self._ask("-d", body, self._base).get("state") != "waiting":
            raise RefusedError(f"{self.host}: the venue did not take the breakpoint. Nothing was injected")
        return f"the venue holds {WHAT[self.event.venue]} {self.event.nth} from now on"

    def wait(self, within_s: float) -> str:
        found = self._ask(f"{self._url}?wait={round(within_s)}", within_s=within_s)
        match found.get("state"):
            case "waiting":
                return ""
            case "holding":
                self._seq = int(found["journal_seq"])
                line = f"order {found['client_order_id']} is {self.event.venue}, line {found['journal_seq']} of the journal"
                return f"{line}; nobody was told"
        raise HostError(f"{self.host}: {self._lost(found)}")

    def window(self) -> Window:
        found = self._ask(self._url)
        if found.get("state") == "holding" and found.get("answered") == 0:
            return Window(held=True, evidence=f"order {found['client_order_id']} was not answered yet")
        if "state" not in found:
            return self._ended()
        return Window(held=False, evidence=self._lost(found))

    def _ended(self) -> Window:
        """The fault may have ended the venue itself: then its journal says whether it held the event to its end."""
        until = time.monotonic() + patience.scaled(BACK_S)
        while not (lines := self._journal()) and time.monotonic() < until:
            time.sleep(0.5)
        if not lines:
            return Window(held=False, evidence="the venue does not answer any more")
        states = [line["detail"]["state"] for line in lines if line.get("detail", {}).get("id") == self._id]
        if states == ["holding"]:
            return Window(held=True, evidence="the venue ended while it held its answer, by its journal")
        return Window(held=False, evidence=f"the venue started again; of the breakpoint its journal says {states}")

    def _journal(self) -> list[dict[str, Any]]:
        """The journal's lines from the event on; none while the venue does not answer."""
        url = f"{self._base.removesuffix('/breakpoints')}/journal?since={self._seq - 1}"
        found = self._pool.run(self.host, (*CURL, url), ANSWER_S)
        try:
            return [json.loads(line) for line in found.stdout.splitlines()]
        except ValueError:
            return []

    def let_go(self) -> None:
        found = self._ask("-X", "DELETE", self._url)
        if "state" not in found and found.get("error") != UNKNOWN:
            raise HostError(f"{self.host}: the venue did not say that it let go of {self.event}")

    def ends(self) -> Sequence[HostEnd]:
        return []

    def _lost(self, found: Mapping[str, Any]) -> str:
        if not found:
            return "the venue does not answer"
        return f"the venue let go by itself ({found.get('by') or found.get('error') or 'it answered'})"

    def _ask(self, *words: str, within_s: float = 0.0) -> Mapping[str, Any]:
        """What the venue answers; {} where it does not."""
        most_s = patience.scaled(ANSWER_S) + within_s
        argv = (*CURL[:-1], f"{most_s:g}", *words)
        found = self._pool.run(self.host, argv, ANSWER_S + within_s + 1)
        try:
            document = json.loads(found.stdout)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}
