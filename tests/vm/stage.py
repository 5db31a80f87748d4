"""One case on the machine: picture, fault by the product's own command line, what was seen of it, picture again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stormdesk.core.errors import HostError
from tests.vm import acts, picture
from tests.vm.cases import ABOUT, Case
from tests.vm.machine import Machine
from tests.vm.table import Result

ROOT = Path(__file__).resolve().parents[2]
HOST = "a"
PATIENCE = {
    "tcg": 30.0,
    "kvm": 1.0,
}  # TCG beside other work: only a limit that is never reached says nothing of the load
TTL_S = {"tcg": 240.0, "kvm": 15.0}  # more than the hold: what a slow machine needs to inject and to revert
CUT_S = {"tcg": 60.0, "kvm": 0.0}  # the same where the time-to-live is the hold
RUN_S, SEEN_S, HEALED_S, PICTURE_S = 1800.0, 600.0, 300.0, 600.0

# Appends `<seconds since boot> <0 or 1>` once a second, from before the fault until the machine is looked at again.
LOOK = """
mkdir -p /run/vm
cat >/run/vm/look <<'LOOK'
while :; do
  if {{ {sees}; }} >/dev/null 2>/run/vm/said; then now=1; else now=0; fi
  read up _ </proc/uptime
  echo "$up $now" >>/run/vm/seen
  sleep 1
done
LOOK
systemd-run --quiet --collect --unit=vm-look sh /run/vm/look
"""


def only_late(said: Sequence[str]) -> bool:
    """Whether all that went wrong in a run is that the machine took longer than real hardware may: until it was steady again, or
    for a revert that was the watchdog's to make."""
    bad = [line for line in said if "ok=false" in line.split()]
    verdict = said[-1] if said else ""
    late = bool(bad) or bool(re.search(r"was reverted by watchdog, \d+ ms late", verdict))
    return late and "residue=clean" in verdict and all("recover ok=false" in line for line in bad)


@dataclass(frozen=True)
class Stage:
    """Where cases run: the machine, and a folder for inventory, run records and output."""

    machine: Machine
    folder: Path

    def run(self, case: Case) -> Result:
        """Run it on the machine as it was after its boot. Never raises for what the product or the machine does wrong."""
        began = time.monotonic()
        try:
            self.machine.restore()
            why = self._play(case)
        except (HostError, subprocess.SubprocessError, OSError) as error:
            why = f"{type(error).__name__}: {error}"
        return Result(case.name, time.monotonic() - began, " ".join(why.split()), case.expected)

    def _play(self, case: Case) -> str:
        """ "" when it held, else why not."""
        self.machine.sh(f"set -e\n{case.before}")
        before = self._picture()
        self.machine.sh(LOOK.format(sees=case.sees))
        with self._controller(case) as controller:
            if not self._seen(controller):
                said = self.machine.sh("cat /run/vm/said", check=False).stdout.strip()
                ended = self._ended(case, controller) or "and the command says all is well"
                return f"not seen on the machine{said and f' ({said})'}; {ended}"
            if case.meanwhile:
                if (
                    -9 not in case.codes
                ):  # what others change while it is still being injected counts as its side effect
                    self._injected(case, controller)
                case.meanwhile(self.machine, controller)
            if said := self._ended(case, controller):
                return said
        return self._as_before(case, before)

    @contextmanager
    def _controller(self, case: Case) -> Iterator[subprocess.Popen[str]]:
        """The product's process, as somebody starts it in a shell; killed at the end if it still runs."""
        words = [*case.words, "--inventory", str(self._inventory(case.user)), "--host", HOST]
        hold_s = case.hold_s + (CUT_S[self.machine.accel] if case.cuts else 0.0)
        words += ["--for", f"{hold_s:.0f}s", "--patience", f"{PATIENCE[self.machine.accel]:g}"]
        if not case.cuts:
            words += ["--ttl", f"{self._ttl_s(case):.0f}s"]
        environ = {
            **os.environ,
            "STORMDESK_RUNS": str(self.folder / "runs"),
            "STORMDESK_HOME": str(self.folder / "home"),
        }
        with self._output(case).open("w") as out:
            out.write(f"$ invoke {' '.join(words)}\n")
            out.flush()
            command = (sys.executable, "-m", "invoke", *words)
            controller = subprocess.Popen(
                command, cwd=ROOT, env=environ, text=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            yield controller
        finally:
            if controller.poll() is None:
                controller.send_signal(signal.SIGKILL)
            controller.wait(30)

    def _ttl_s(self, case: Case) -> float:
        return case.hold_s + TTL_S[self.machine.accel]

    def _output(self, case: Case) -> Path:
        return self.folder / f"{case.name}.txt"

    def _inventory(self, user: str) -> Path:
        """The document that a user would write by hand."""
        kind, key = (self.machine.disks / "hostkey.pub").read_text().split()[:2]
        host = {
            "name": HOST, "role": "trader", "address": "127.0.0.1", "port": self.machine.port, "user": user,
            "host_key": f"{kind} {key}", "identity_file": str(self.machine.disks / "id"), "identities_only": True,
            **ABOUT,
        }  # fmt: skip
        path = self.folder / f"{user}.json"
        path.write_text(json.dumps({"version": 1, "environment": "vm", "hosts": {HOST: host}}, indent=1) + "\n")
        return path

    def _seen(self, controller: subprocess.Popen[str]) -> bool:
        """Whether the machine saw the fault; where the fault cuts SSH, this is known only afterwards."""
        end = time.monotonic() + SEEN_S
        while time.monotonic() < end:
            over = controller.poll() is not None
            if self.machine.sh("grep -q ' 1$' /run/vm/seen", check=False, within_s=60).returncode == 0:
                return True
            if over:
                return False
            time.sleep(3.0)  # each look takes the machine some processor time
        return False

    def _injected(self, case: Case, controller: subprocess.Popen[str]) -> None:
        """Wait until the command says that the fault is in, which the machine sees some time earlier; or until it ends."""
        end = time.monotonic() + SEEN_S
        while (
            time.monotonic() < end and controller.poll() is None and " inject ok=" not in self._output(case).read_text()
        ):
            time.sleep(0.5)

    def _ended(self, case: Case, controller: subprocess.Popen[str]) -> str:
        """ "" when the controller ended as it should, else its code and its last lines."""
        try:
            code = controller.wait(RUN_S)
        except subprocess.TimeoutExpired:
            return f"the command still ran after {RUN_S:.0f} s"
        said = [line for line in self._output(case).read_text().splitlines() if line.strip()]
        may_be_late = (1, 4) if case.cuts else (1,)
        if code in case.codes or (code in may_be_late and self.machine.accel == "tcg" and only_late(said)):
            return ""
        return f"exit code {code}: {' / '.join(said[-3:])}"

    def _as_before(self, case: Case, before: str) -> str:
        """ "" once the machine is as before; else what was not, when the time was over."""
        left_s = HEALED_S + (self._ttl_s(case) if case.meanwhile is acts.kill_controller else 0.0)
        end = time.monotonic() + left_s
        self.machine.sh("systemctl stop vm-look", check=False)
        while True:
            found = picture.differences(picture.parse(before), picture.parse(self._picture()))
            wrong = [line for line in found if not any(word in line for word in case.adds)]
            if not wrong:
                break
            if time.monotonic() > end:
                return f"not as before after {left_s:.0f} s: {'; '.join(wrong[:6])}"
            time.sleep(3.0)
        if gone := [word for word in case.adds if not any(word in line for line in found)]:
            return f"what an operator added in the hold is gone: {gone[0]}"
        done = self.machine.sh(case.after, check=False)
        return f"afterwards: {done.stderr or done.stdout or case.after}" if done.returncode else ""

    def _picture(self) -> str:
        return self.machine.sh(picture.SCRIPT, within_s=PICTURE_S).stdout
