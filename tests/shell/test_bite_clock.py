"""clock-skew on a service with the real libfaketime: its own clock, as it says it, and nobody else's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.offsets import Offset, Ppm
from stormdesk.core.values import Duration
from stormdesk.faults.time.clock_skew import ClockSkew
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import bite, heal
from tests.shell.test_bite_process import by_the_watchdog, finish, killed_half_way

# It writes its time, and its time since boot, every 50 ms.
TELLER = """
cat >/tmp/teller.py <<'END'
import select, time
while True:
    print(time.time(), time.monotonic(), flush=True)
    select.select([], [], [], 0.05)
END
echo +0 >/run/teller.clock
library=$(ls /usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1)
LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE=/run/teller.clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \\
  DONT_FAKE_MONOTONIC=1 FAKETIME_FORCE_MONOTONIC_FIX=0 EXTRA setsid python3 -S /tmp/teller.py </dev/null >/tmp/told 2>&1 &
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    require("faketime")
    with rig(request.param) as one:
        one.sandbox.sh(TELLER.replace("EXTRA", ""))
        eventually("test -s /tmp/told", one.sandbox, 10)
        yield one


def told(host: Rig) -> list[float]:
    """How far ahead it was, each time from now on, for half a second or more."""
    host.sandbox.sh(": >/tmp/told.new; tail -n 1 /tmp/told | cut -d' ' -f2 >/tmp/told.new")
    since = float(host.sandbox.sh("cat /tmp/told.new"))
    base = time.time() - time.monotonic()
    time.sleep(1)
    rows = [
        [float(word) for word in line.split()]
        for line in host.sandbox.sh("cat /tmp/told").splitlines()
        if line.count(".") == 2
    ]
    return [wall - mono - base for wall, mono in rows if mono > since]


def ahead(host: Rig, low: float, high: float) -> bool:
    """On the whole: on a busy machine a moment goes by between the two times that it writes."""
    return low <= statistics.median(told(host)) <= high


@pytest.mark.parametrize(("offset", "low", "high"), [("-1h", -3600.5, -3599.5), ("+5s", 4.5, 5.5), ("900ms", 0.7, 1.1)])
def test_a_clock_jumps_and_is_right_again(host: Rig, offset: str, low: float, high: float) -> None:
    assert ahead(host, -0.3, 0.3)
    now = time.time()
    before = bite(host, ClockSkew(pattern="teller.py", offset=Offset(offset)))
    assert ahead(host, low, high)
    assert float(host.sandbox.sh("python3 -S -c 'import time; print(time.time())'")) - now < 30  # nobody else's
    heal(host, before)
    assert ahead(host, -0.3, 0.3)


def test_a_clock_that_drifts_does_not_jump(host: Rig) -> None:
    before = bite(host, ClockSkew(pattern="teller.py", drift=Ppm(200_000)))
    first = told(host)
    assert abs(first[0]) < 3
    time.sleep(5)
    later = told(host)
    assert 0.8 <= later[0] - first[0] <= 3.0
    heal(host, before)
    assert ahead(host, -0.3, 0.3)


def test_a_clock_goes_there_and_back(host: Rig) -> None:
    before = bite(host, ClockSkew(pattern="teller.py", offset=Offset("1h"), strobe=Duration(1)))
    found = [round(each / 3600) for _ in range(4) for each in told(host)]
    assert {0, 1} == set(found)
    heal(host, before)
    assert ahead(host, -0.3, 0.3)


def test_a_clock_is_put_right_by_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    fault = ClockSkew(pattern="teller.py", offset=Offset("1h"))
    finish(host, by_the_watchdog(host, fault, 8.0))
    assert ahead(host, -0.3, 0.3)
    finish(host, killed_half_way(host, fault, "sd_clock_jump"))
    assert ahead(host, -0.3, 0.3)


def test_a_clock_that_somebody_else_has_set_since_stays(host: Rig) -> None:
    before = bite(host, ClockSkew(pattern="teller.py", offset=Offset("1h")))
    host.sandbox.sh("echo +7 >/run/teller.clock")
    host.revert()
    assert host.sandbox.sh("cat /run/teller.clock") == "+7\n"
    assert before


def test_a_service_without_libfaketime_or_with_a_fixed_offset_is_refused(host: Rig) -> None:
    host.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 &")
    with pytest.raises(AssertionError, match="was not started with libfaketime"):
        host.plan(ClockSkew(pattern="sleep 543", offset=Offset("5s")))
    host.sandbox.sh("pkill -f teller.py; " + TELLER.replace("EXTRA", "FAKETIME=+0"))
    eventually("pgrep -f teller.py", host.sandbox, 5)
    with pytest.raises(AssertionError, match="FAKETIME, which takes precedence over any file"):
        host.plan(ClockSkew(pattern="teller.py", offset=Offset("5s")))
    with pytest.raises(RefusedError, match="selects 0 processes"):
        host.plan(ClockSkew(pattern="nobody at all", offset=Offset("5s")))
