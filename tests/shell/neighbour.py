"""Another host beside a sandbox: the other end of its eth1, in a network namespace of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from stormdesk.core.model import Completed
from tests.shell.sandbox import Sandbox

ADDRESS, ADDRESS6 = "10.9.1.1", "fd99::1"


class Neighbour:
    """Has ADDRESS and ADDRESS6, and serves HTTP at the ports that are asked for."""

    def __init__(self, sandbox: Sandbox, *ports: int) -> None:
        self.sandbox = sandbox
        self.pid = sandbox.sh("unshare -n sleep 600 >/dev/null 2>&1 </dev/null & echo $!").strip()
        until(lambda: sandbox.sh(f"readlink /proc/{self.pid}/ns/net") != sandbox.sh("readlink /proc/self/ns/net"))
        sandbox.sh(f"ip link set peer1 netns {self.pid}")
        self.sh(
            f"ip link set lo up; ip addr add {ADDRESS}/24 dev peer1; ip -6 addr add {ADDRESS6}/64 dev peer1 nodad; ip link set peer1 up"
        )
        for port in ports:
            self.sh(f"python3 -m http.server {port} --bind {ADDRESS} >/dev/null 2>&1 </dev/null &")
        for port in ports:
            until(lambda port=port: self.answers(port))  # type: ignore[misc]
        until(lambda: sandbox.script(f"ping -c 1 -W 1 {ADDRESS6}").ok)

    def sh(self, text: str) -> str:
        """Run a line there and return its stdout; a failure raises."""
        done = self.script(text)
        assert done.ok, f"{text}: {done.code} {done.stderr}"
        return done.stdout

    def script(self, text: str) -> Completed:
        return self.sandbox.script(f"nsenter -t {self.pid} -n sh -s <<'END'\n{text}\nEND\n")

    def answers(self, port: int) -> bool:
        """Does the sandbox get an HTTP answer from it?"""
        return self.sandbox.script(f"curl -s -o /dev/null -m 0.5 http://{ADDRESS}:{port}/").ok

    def pings(self, address: str = "10.9.1.2") -> bool:
        """Does it get an answer from the sandbox?"""
        return self.script(f"ping -c 1 -W 0.4 {address}").ok


def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait until something is true; fails after `within_s`."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
