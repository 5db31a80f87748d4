"""Bad input never opens a connection and never prints a traceback; the message names the value, the range and what to type.

Every line below is a real `invoke`, against an inventory whose hosts are a trap that counts connections.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stormdesk.core import inventory as documents
from tests.support.invoking import ROOT, Ended, environ, inventory, run_all, trap

INVENTORY = "INVENTORY"  # stands for the trap's inventory file
DISK = ("chaos.disk-full", "--inventory", INVENTORY, "--host", "trader-a")
NIC = ("chaos.adapter-down", "--inventory", INVENTORY, "--host", "trader-a")
KILL = ("chaos.process-kill", "--inventory", INVENTORY, "--host", "trader-a")
LONG = "x" * 100_000
RUNBOOK = "RUNBOOK:"  # what follows becomes the yaml block of a runbook file
GOOD = "title: T\nrto_s: 30\nsteps:\n  - {fault: disk-full, host: trader-a, for: 20s}\n"


@dataclass(frozen=True)
class Case:
    """A command line, and what its one line on stderr must contain."""

    words: tuple[str, ...]
    says: tuple[str, ...]
    code: int = 2
    lines: int = 1

    @property
    def id(self) -> str:
        return " ".join(word if len(word) < 40 else f"{word[:10]}…" for word in self.words).replace("\n", "\\n")


def case(*words: str, says: tuple[str, ...], code: int = 2) -> Case:
    return Case(words, says, code)


def runbook(block: str, *says: str, lines: int = 3) -> Case:
    """A bad runbook: the place, then the line itself with a mark under it."""
    return Case(("gameday.run", "--inventory", INVENTORY, "--runbook", RUNBOOK + block), says, lines=lines)


def host(name: str, *says: str) -> Case:
    return Case((*DISK[:-1], name), says)


CASES = [
    # names of tasks and flags
    case("chaos.disk-ful", "--host", "trader-a", says=("no task 'chaos.disk-ful'", "Did you mean: chaos.disk-full?")),
    case("chaos.disk_full", says=("Did you mean: chaos.disk-full?",)),
    case("chaos.diskfull", says=("Did you mean: chaos.disk-full?",)),
    case("disk-full", says=("Did you mean: chaos.disk-full?",)),
    case("cahos", says=("Did you mean: chaos?",)),
    case("chaos.earthquake", says=("no task 'chaos.earthquake'", "invoke --list")),
    case("--help", "chaos.disk-ful", says=("Did you mean: chaos.disk-full?",)),
    case("--list", "chaso", says=("Did you mean: chaos?",)),
    case(*DISK, "--precent", "90", says=("chaos.disk-full has no --precent", "Did you mean --percent?")),
    case(*DISK, "--plan_hash", "x", says=("has no --plan_hash", "Did you mean --plan-hash?")),
    case(*DISK, "--plan-hash", "", says=("--plan-hash is empty", "--plan printed")),
    case(*DISK, "--hostnames", "trader-b", says=("has no --hostnames", "Did you mean --host?")),
    case("chaos.disk-full", "-host", "trader-a", says=("has no -host", "Did you mean --host?")),
    case(*DISK, "--version", says=("has no --version",)),
    case(*DISK, "--yes", says=("has no --yes", "Its flags:", "--percent")),
    case(*DISK, "trader-b", says=("takes no bare value 'trader-b'", "--help")),
    case(*DISK, "--json", "yes", says=("--json takes no value", "yes")),
    case(*DISK, "--for", says=("--for needs a value", "e.g. --for 30s")),
    case(*DISK, "--for", "--plan", says=("--for needs a value", "e.g. --for 30s")),
    case(*DISK, "--for", "20s", "--for", "30s", says=("--for is given twice",)),
    case("env.up", "--nmae", "x", says=("env.up has no --nmae", "Did you mean --name?")),
    # values
    *(
        case(*DISK, "--percent", text, says=(f"--percent {text}:", "1..100", "e.g. 95"))
        for text in ("195", "0", "-1", "101", "ten", "95.5.5", "NaN")
    ),
    case(*DISK, "--percent", "", says=("--percent '':", "1..100")),
    case(*DISK, "--percent", "95\n--host", says=("--percent 95\\n--host:", "1..100")),
    case(*DISK, "--percent", "\u202e59", says=("--percent \\u202e59:", "1..100")),
    case(*DISK, "--percent", LONG, says=("100000 characters", "1..100")),
    case(*DISK, "--for", "30", says=("--for 30: no unit", "Did you mean 30s?", "ms, s, m, h")),
    *(
        case(*DISK, "--for", text, says=(f"--for {text}:", "1s..1795s", "30s"))
        for text in ("0s", "-1", "1h", "NaN", "1e309", "99999999", "99999999s", "500ms", "30 parsecs")
    ),
    case(*DISK, "--ttl", "10s", says=("--ttl 10s", "--for 30s", "e.g. --ttl 45s")),
    case(*DISK, "--ttl", "2h", says=("--ttl 2h:", "1ms..30m", "e.g. 30s")),
    case(*DISK, "--size", "200", says=("--size 200: no unit", "Did you mean 200MiB?")),
    case(*DISK, "--size", "2GB", says=("--size 2GB: no unit", "Did you mean 2GiB?")),
    case(*DISK, "--size", "-1MiB", says=("--size -1MiB:", "4KiB..16TiB")),
    case(*DISK, "--seed", "x", says=("--seed x:", "0..4294967295")),
    case(*DISK, "--allow-role-share", "101", says=("--allow-role-share 101:", "1..100")),
    case(*DISK, "--allow-hosts", "0", says=("--allow-hosts 0:", "1..1000")),
    *(
        case(*DISK, "--path", text, says=("--path", "absolute path"))
        for text in ("data", "../..", "/var/../etc", "/tmp/a\nb", "/" + "x" * 5000)
    ),
    *(
        case(*DISK, "--path", text, says=(f"--path {text}", "data folder such as"))
        for text in ("/", "/boot", "/proc/1", "/etc/../etc//.") if ".." not in text
    ),
    *(
        case(*NIC, "--interface", text, says=("--interface", "eth1"))
        for text in ("eth0;reboot", "a" * 16, "lo", "all", "$(id)", "../eth0")
    ),
    case(*NIC, says=("--network or --interface", "market")),
    case(*NIC, "--network", "mars", says=("--network mars", "market")),
    *(
        case(*KILL, "--service", "trader", "--signal", text, says=(f"--signal {text}:", "must be one of KILL", "e.g. KILL"))
        for text in ("0", "65", "SIGFOO", "-9")
    ),
    case(*KILL, says=("--service", "--pidfile", "--pattern", "trader")),
    case(*KILL, "--service", "trade", says=("--service trade", "trader")),
    case(*KILL, "--pattern", "sshd", says=("--pattern sshd", "never")),
    case(*KILL, "--pattern", "x", says=("--pattern", "3..200")),
    # hosts and inventories
    case(*DISK[:-2], says=("--host is required", "Known: trader-a, trader-b, venue", "e.g. --host trader-a")),
    host("tradr-a", "no host 'tradr-a'", "Did you mean: trader-a?", "invoke env.status"),
    *(
        host(name, "--host", "Known: trader-a, trader-b, venue")
        for name in ("-oProxyCommand=x", "a;id", "$(id)", "", "fe80::1%eth0", "h" * 300, "a\nb", "one:trader-a")
    ),
    host("role:kafka", "--host role:kafka", "Roles: trader, venue"),
    host("one:role:", "--host one:role:", "Roles: trader, venue"),
    host("trader-a,,venue", "--host ''", "Known:"),
    case(*DISK[:-1], "leader", says=("--host leader: nobody leads the hosts of trap", "Nothing was changed"), code=3),
    case(*DISK[:-1], "one:leader", says=("--host one:leader: must be a name", "or leader")),
    case("env.exec", "--inventory", INVENTORY, "--host", "leader", says=("--host leader: this task takes a host by its name",)),
    case("chaos.disk-full", "--host", "x", "--inventory", "/nope.json", says=("/nope.json", "No such file", "env.export")),
    case("chaos.disk-full", "--host", "x", "--inventory", "/", says=("--inventory /", "Is a directory")),
    case("chaos.disk-full", "--host", "x", "--inventory", "README.md", says=("README.md: not an inventory",)),
    case("chaos.disk-full", "--host", "x", "--inventory", "ansible:f", says=("--inventory ansible:f", "No such file")),
    case(*DISK, "--env", "x", says=("--env and --inventory",)),
    *(
        case(*words, "--inventory", INVENTORY, "--env", "x", says=("--env and --inventory",))
        for words in (("env.status",), ("env.export",), ("env.ssh", "--host", "x"), ("env.exec", "--host", "x"))
    ),
    case("env.ssh", "--inventory", INVENTORY, "--host", "tradr-a", says=("no host 'tradr-a'", "Did you mean: trader-a?")),
    case("env.exec", "--inventory", INVENTORY, "--host", "role:trader", says=("must be one host, not 2",)),
    case("env.status", "--env", "nope", says=("no environment 'nope'", "invoke env.up --name nope")),
    case("env.status", "--env", "a;id", says=("a;id", "For example: demo")),
    case("env.up", "--name", "../x", says=("../x", "For example: demo")),
    case("env.up", "--topology", "moon", says=("moon", "core")),
    case("env.up", "--backend", "moon", says=("moon", "lab")),
    case("env.up", "--ttl", "1s", says=("--ttl 1s:", "5s..168h", "e.g. 2h")),
    case("env.export", "--format", "xml", says=("xml", "ssh-config, ansible, json")),
    case("gameday.run", says=("--runbook is required", "Known: circuit-breaker", "e.g. --runbook circuit-breaker")),
    case("gameday.run", "--runbook", "nope.md", says=("nope.md", "No such file", "circuit-breaker")),
    runbook(GOOD.replace("20s", "30"), ":6:", "steps[0].for", "no unit", "Did you mean 30s?", "^"),
    runbook(GOOD.replace("disk-full", "disk-ful"), ":6:", "steps[0].fault", "Did you mean: disk-full?"),
    runbook(GOOD.replace("for:", "fro:"), ":6:", "steps[0]", "unknown key 'fro'", "Did you mean: for?"),
    runbook(GOOD + "title: again\n", ":7:", "title is given twice"),
    runbook("a: &a [1]\nb: [*a, *a]\n", ":3:", "anchors and aliases", lines=1),
    runbook("title: [\n", ":4:", "not YAML", lines=1),
    runbook(GOOD.replace("trader-a", "nobody"), "no host 'nobody'", lines=1),
    case("chaos.revert", "--inventory", INVENTORY, says=("--run ID, --host H or --all", "chaos.status")),
    case("chaos.revert", "--inventory", INVENTORY, "--host", "nobody", says=("no host 'nobody'",)),
]  # fmt: skip


@dataclass(frozen=True)
class Outcomes:
    """What became of all cases, how many connections they made, and where their hosts are described."""

    ended: dict[Case, Ended]
    connections: int
    connections_of_a_plan: int
    plan: Ended


def _filled(word: str, file: Path) -> str:
    """The word with its file: the trap's inventory, or a runbook written for it."""
    if word.startswith(RUNBOOK):
        book = file.with_name(f"runbook-{len(list(file.parent.iterdir()))}.md")
        book.write_text(f"# A game day\n```yaml\n{word.removeprefix(RUNBOOK)}```\n")
        return str(book)
    return str(file) if word == INVENTORY else word


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    home = tmp_path_factory.mktemp("bad-input")
    with trap() as there:
        file = home / "inventory.json"
        key = home / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
        file.write_bytes(documents.render(inventory(there.port, str(key))))
        lines = [[_filled(word, file) for word in item.words] for item in CASES]
        ended = run_all(lines, environ(home))
        refused = there.count
        plan = run_all([["chaos.disk-full", "--inventory", str(file), "--host", "trader-a", "--plan"]], environ(home))
        yield Outcomes(dict(zip(CASES, ended, strict=True)), refused, there.count - refused, plan[0])


@pytest.mark.parametrize("item", CASES, ids=lambda item: item.id)
def test_is_answered_in_one_line_that_helps(item: Case, outcomes: Outcomes) -> None:
    ended = outcomes.ended[item]
    assert ended.code == item.code, ended
    assert len(ended.err.splitlines()) == item.lines, ended.err
    assert "Traceback" not in ended.err + ended.out
    assert len(ended.err) < 600
    for part in item.says:
        assert part in ended.err, (part, ended.err)
    if "--json" in item.words:
        assert json.loads(ended.out) == {"error": ended.err.strip(), "exit_code": item.code}
    else:
        assert ended.out == ""


def test_opens_no_connection(outcomes: Outcomes) -> None:
    assert outcomes.connections == 0


def test_the_trap_does_count_the_connections_of_a_plan(outcomes: Outcomes) -> None:
    assert outcomes.connections_of_a_plan >= 1
    assert outcomes.plan.code == 3
    assert len(outcomes.plan.err.splitlines()) == 1
    assert "trader-a" in outcomes.plan.err
    assert "Traceback" not in outcomes.plan.err


def test_the_console_script_itself_ends_like_the_forks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "chaos.disk-full", "--percent", "195"],
        env=environ(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--percent 195: must be 1..100 percent, e.g. 95\n"
