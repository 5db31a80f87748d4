"""HTTP requests to a stack's services on their own hosts, by curl over SSH, so that we need no listener."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormdesk.core.errors import StormdeskError, UsageError
from stormdesk.ssh import patience
from stormdesk.ssh.pool import Pool

ANSWER_S = 5.0
METRICS_S = 2.0
LINK_S = 3.0  # what SSH may take besides
END = "==answered=="
# <url> <seconds> <word> <body>...: each answer, with its status and the word on a line.
EACH = """
url=$1 most_s=$2 end=$3
shift 3
for body; do curl -s -m "$most_s" -H 'Content-Type: application/json' -d "$body" -w "\\n%{http_code} $end\\n" "$url"; done
:
"""


@dataclass(frozen=True)
class Answer:
    """What one service said: `status` 0 means nothing, and `error` why. `document` is {} for what is not a JSON object."""

    host: str
    status: int
    text: str
    error: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def document(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def why(self) -> str:
        """Why it is no yes, in one line."""
        return self.error or str(self.document.get("error") or f"HTTP {self.status} {self.text.strip()[:120]}")


class Services:
    """The services of an inventory, by name."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hosts = pool.inventory.hosts

    def hosts(self, service: str, only: Sequence[str] = ()) -> list[str]:
        """The hosts that run a service (of those in `only`). Raises UsageError when there is none."""
        for name in only:
            self._pool.inventory.host(name)
        found = [name for name, host in sorted(self._hosts.items()) if service in host.services]
        wanted = [name for name in found if not only or name in only]
        if not wanted:
            known = sorted({name for host in self._hosts.values() for name in host.services})
            where = f"only {', '.join(found)} runs it" if found else f"there is: {', '.join(known)}"
            raise UsageError(f"no {service} on {', '.join(only) or self._pool.inventory.environment}: {where}")
        return wanted

    def known(self, service: str) -> bool:
        """Whether any host runs it."""
        return any(service in host.services for host in self._hosts.values())

    def get(self, service: str, path: str, hosts: Sequence[str]) -> Mapping[str, Answer]:
        """Ask a service on some hosts at once."""
        return self._each(hosts, lambda host: self._curl(host, service, path, ANSWER_S))

    def post(
        self, service: str, path: str, document: Mapping[str, str], hosts: Sequence[str], within_s: float = ANSWER_S
    ) -> Mapping[str, Answer]:
        """Tell a service on some hosts at once."""
        body = ("-H", "Content-Type: application/json", "-d", json.dumps(document))
        return self._each(hosts, lambda host: self._curl(host, service, path, within_s, *body))

    def post_each(
        self, service: str, path: str, documents: Sequence[Mapping[str, str]], hosts: Sequence[str], within_s: float = ANSWER_S
    ) -> Mapping[str, list[Answer]]:
        """Tell a service on some hosts at once one thing after the other, by one command on each host. `within_s` is for each."""

        def tell(host: str) -> list[Answer]:
            url, bodies = self._url(host, service, path), [json.dumps(document) for document in documents]
            most_s = f"{patience.scaled(within_s):g}"
            done = self._pool.run(host, ("sh", "-c", EACH, "sh", url, most_s, END, *bodies), within_s * len(bodies) + LINK_S)
            parts = [part.rpartition("\n") for part in done.stdout.split(f" {END}\n")[:-1]]
            return [Answer(host, int(code), text, "" if int(code) else "no answer") for text, _, code in parts]

        answers = self._pool.each(hosts, tell)
        return {h: [Answer(h, 0, "", str(a))] if isinstance(a, StormdeskError) else a for h, a in answers.items()}

    def metrics(self) -> dict[str, str]:
        """/metrics of every service that answers, by `<host>-<service>`; all are asked at once."""
        asked = {
            f"{name}-{service}": (name, service)
            for name, host in sorted(self._hosts.items())
            for service, entry in host.services.items()
            if {"http", "control"} & {*entry.ports}
        }
        answers = self._pool.each(asked, lambda key: self._curl(*asked[key], "/metrics", METRICS_S))
        return {key: a.text for key, a in answers.items() if isinstance(a, Answer) and a.ok}

    def _each(self, hosts: Sequence[str], ask: Callable[[str], Answer]) -> Mapping[str, Answer]:
        answers = self._pool.each(hosts, ask)
        return {h: Answer(h, 0, "", str(a)) if isinstance(a, StormdeskError) else a for h, a in answers.items()}

    def _curl(self, host: str, service: str, path: str, within_s: float, *more: str) -> Answer:
        url = self._url(host, service, path)
        argv = ("curl", "-sS", "-m", f"{patience.scaled(within_s):g}", "-w", "\n%{http_code}", *more, url)
        done = self._pool.run(host, argv, within_s + LINK_S)
        text, _, status = done.stdout.rpartition("\n")
        code = int(status) if status.isdigit() else 0
        return Answer(host, code, text, "" if code else done.stderr.strip() or f"curl ended with {done.code}")

    def _url(self, host: str, service: str, path: str) -> str:
        ports = self._hosts[host].services[service].ports
        address = "127.0.0.1"
        if "control" in ports:  # the venue's is on the management network alone
            address = self._hosts[host].networks["mgmt"].address.partition("/")[0]
        return f"http://{address}:{ports.get('control', ports.get('http', 0))}{path}"
