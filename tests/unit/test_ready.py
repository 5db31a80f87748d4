"""The stages of an environment that comes up, and the message when one does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from stormdesk.infra import ready, stacks
from stormdesk.infra.topology import Service

STACK = stacks.core(stacks.Credentials(api_key="", api_secret=""))
HOSTS = [host.name for host in STACK.hosts]
ALL_PORTS = {name: {port for s in STACK.services_on(name) for port in s.ports.values()} for name in HOSTS}
STAGES = ["SSH on 6 hosts", "11 services listening", "ready"]


class Stack:
    """Answers as hosts do: each stage comes up at the second question, or, but for what never does, at once."""

    def __init__(self, **never: Sequence[str]) -> None:
        self.never = never
        self.asked = {"deaf": 0, "ports": 0}

    def _early(self, question: str) -> bool:
        self.asked[question] += 1
        return self.asked[question] == 1 and not self.never

    def deaf(self) -> Sequence[str]:
        return ["venue"] if self._early("deaf") else self.never.get("deaf", [])

    def ports(self) -> Mapping[str, set[int]]:
        if self._early("ports"):
            return {}
        return {host: ports for host, ports in ALL_PORTS.items() if host not in self.never.get("ports", [])}

    def answer(self, service: Service) -> tuple[int, str]:
        assert self.asked["ports"], "asked before it listens"
        return (503, "standby") if service.host in self.never.get("answer", []) else (200, "ok")

    def waited(self, within_s: float) -> list[str]:
        said: list[str] = []
        ready.wait(STACK, ready.Questions(self.deaf, self.ports, self.answer), within_s, said.append)
        return said


def test_each_stage_is_reported_once_and_in_order() -> None:
    stack = Stack()
    assert [line.rpartition(" after ")[0] for line in stack.waited(30)] == STAGES
    assert stack.asked == {"deaf": 2, "ports": 2}


@pytest.mark.parametrize(
    ("never", "last"),
    [
        ({"deaf": ["venue", "ops"]}, "not after 0 s: SSH on 6 hosts: venue, ops"),
        ({"ports": ["feed"]}, "not after 0 s: 11 services listening: feeder on feed, guard on feed"),
        (
            {"answer": ["trader-a", "trader-b"]},
            "not after 0 s: ready: trader (trader-a 503 standby; trader-b 503 standby)",
        ),
    ],
)
def test_what_never_comes_is_named(never: Mapping[str, Sequence[str]], last: str) -> None:
    assert Stack(**never).waited(0)[-1] == last


def test_one_working_instance_of_a_service_is_enough() -> None:
    assert len(Stack(answer=["trader-b"]).waited(0)) == len(STAGES)
