"""No character of a parameter is shell: not of a fault's, not of an inventory's, not of an operator's; in dash and busybox ash.

Every parameter that is text gets strings of metacharacters. What is not refused in one line becomes scripts, and those run: first with
each command replaced by one that shows its words, then the real verbs, on files and processes of such names. A planted command would
leave a file. `--counts 100` tries 10 000 strings in each shell, the default a tenth.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

import pytest

from stormdesk.core import inventory as documents
from stormdesk.core.errors import StormdeskError, UsageError
from stormdesk.core.fault import Fault
from stormdesk.core.model import Argv
from stormdesk.core.plan import Plan, Step
from stormdesk.core.shell import plan_script
from stormdesk.core.values import Signal
from stormdesk.core.words import FileMode
from stormdesk.faults import FAULTS
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.disk.disk_readonly import DiskReadonly
from stormdesk.faults.disk.inode_full import InodeFull
from stormdesk.faults.file.dir_vanish import DirVanish
from stormdesk.faults.file.file_corrupt import FileCorrupt
from stormdesk.faults.file.file_permission import FilePermission
from stormdesk.faults.load.io_stress import IoStress
from stormdesk.faults.process.fd_exhaust import FdExhaust
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.faults.process.process_pause import ProcessPause
from stormdesk.host import render
from stormdesk.host.scripts import host_scripts
from tests.cases.planning import CASES, changed, load, planned
from tests.shell.rig import CONFIRMED, Rig, picture, repeated, rig, same, states
from tests.shell.sandbox import SHELLS, Sandbox

HIT = "/tmp/hit"
PIECES = (
    *("$(touch /tmp/hit)", "`touch /tmp/hit`", ";touch /tmp/hit;", "\ntouch /tmp/hit\n", "|touch /tmp/hit", "&touch /tmp/hit&", "$IFS"),
    *("'", '"', "\\", "&", "|", ">", "<", "*", "?", "[", "]", "~", "#", "!", "{", "}", "(", ")", "$", "${", " ", "\t", "\n", "-", "%s"),
    *("=", ":", ",", "/", "a", "eth1", "0", "é", "@", "^", "\r", "\x1b", "\u202e"),
)  # fmt: skip
PLAIN = {
    "name": "trader-a",
    "role": "trader",
    "address": "10.77.0.13",
    "host_key": "ssh-ed25519 AAAA",
    "identity_file": "/key",
}
ROOTED = ("path", "pidfile")  # of these parameters only what lies below a folder gets far
EACH = 40  # plans for one process
ALL = 10_000
# On every host there may be a folder of this name, and a process with these words.
EVIL = r"""a b$(touch /tmp/hit)';"`touch /tmp/hit`|&<>*?~#!{}[]\%s-touch /tmp/hit;\040é"""


def strings(random: Random) -> Iterator[str]:
    while True:
        yield "".join(random.choices(PIECES, k=random.randint(1, 9)))


@cache
def targets() -> Sequence[tuple[str, str, Mapping[str, Any]]]:
    """Each parameter of each fault that is text, and a case in which it could be typed."""
    found = []
    for name, kind in FAULTS.items():
        cases = [load(path)[1] for start in ("needs", "ok") for path in sorted((CASES / name).glob(f"{start}_*.json"))]
        for field, hint in typing.get_type_hints(kind).items():
            if hint is str:
                case = next((case for case in cases if field in case["params"]), cases[0])
                selecting = ("service", "pidfile", "pattern")
                alone = {k: v for k, v in case["params"].items() if not (field in selecting and k in selecting)}
                found.append((name, field, {**case, "params": alone} if field not in case["params"] else case))
    return found


def one_line(error: StormdeskError, of: str) -> None:
    assert str(error).isprintable(), f"{of}: {error!r} is not one line"


def put(case: Mapping[str, Any], field: str, text: str) -> Mapping[str, Any]:
    """The case with another value typed, as if the host had it: its answers, and the host's own services, name it too."""
    before = case["params"].get(field, "")
    facts = case.get("facts", {})
    if before and field in ROOTED:
        facts = json.loads(json.dumps(facts).replace(json.dumps(before)[1:-1], json.dumps(text)[1:-1]))
    host = case.get("host", {})
    if field == "service":
        host = {**host, "services": {text: {"user": "trading", "manager": "supervisor"}}}
    return {**case, "facts": facts, "host": host, "params": {**case["params"], field: text}}


def shown(argv: Argv) -> Argv:
    return ("show", *argv)


def scripted(plan: Plan) -> tuple[str, list[str]]:
    """The plan's script with every command made to show its words, and what it must show."""
    steps = tuple(Step(shown(step.do), tuple(map(shown, step.undo))) for step in plan.change.steps)
    proof = plan.proof
    tame = changed(
        plan, steps=steps, baseline=proof.baseline and shown(proof.baseline), witness=shown(proof.witness),
        still=shown(proof.still or proof.witness), rechecks=tuple((shown(argv), text) for argv, text in plan.change.rechecks),
    )  # fmt: skip
    expected: list[str] = []
    text = plan_script(tame)
    for number, step in enumerate(plan.change.steps, 1):
        text += f"plan_do_{number}; plan_undo_{number}\n"
        expected += [*step.do, *(word for argv in step.undo for word in argv)]
    text += "plan_baseline; plan_witness; plan_still; plan_recheck\n"
    text += 'show "$SD_FILES" "$SD_SERVICES" "$SD_TOUCHES" "$SD_SPACES" "$SD_RESOURCES"\n'
    for argv in (proof.baseline or (), proof.witness, proof.still or proof.witness):
        expected += argv
    for argv, said in plan.change.rechecks:
        expected += [said, *argv]
    change = plan.change
    expected += [
        "\n".join(some) for some in (change.files, change.services, sorted(change.touches), change.spaces, change.resources)
    ]
    return text, expected


SHOW = """show() { for word; do printf '%s\\000' "$word"; done; }
sd_same() { show "$1"; shift; "$@"; }
"""


def arrives(box: Sandbox, plans: Sequence[Plan]) -> None:
    """Every word of these plans arrives as it is, and nothing else happens. A process for some of them: a pipe holds 64 KiB."""
    for start in range(0, len(plans), EACH):
        texts = [scripted(plan) for plan in plans[start : start + EACH]]
        shows = [word for _, words_of in texts for word in words_of]
        assert box.sh(SHOW + "".join(text for text, _ in texts)).split("\0")[:-1] == shows


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test in both shells, but those of REAL by turns; with `--counts 100` these too."""
    if "name" in metafunc.fixturenames:
        both = metafunc.config.getoption("--counts") >= 100
        pairs = [(shell, name) for n, name in enumerate(REAL) for k, shell in enumerate(SHELLS) if both or n % 2 == k]
        metafunc.parametrize(("host", "name"), sorted(pairs), indirect=["host"], scope="module")
    elif "host" in metafunc.fixturenames:
        metafunc.parametrize("host", SHELLS, indirect=True, scope="module")


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        one.counts = request.config.getoption("--counts")
        yield one
        assert not one.sandbox.script(f"test -e {HIT}").ok, "a parameter was run"


def test_every_text_parameter_is_tried() -> None:
    """Those of all faults that have one; new faults too."""
    assert len(targets()) >= 80
    assert len({name for name, _, _ in targets()}) >= len(FAULTS) - 3


def test_no_parameter_of_a_fault_becomes_shell(host: Rig) -> None:
    count = ALL * host.counts // 100
    random, taken, plans = Random(f"injection {host.sandbox.shell}"), 0, []
    texts = strings(random)
    got: set[tuple[str, str]] = set()
    for number in range(count):
        name, field, case = targets()[number % len(targets())]
        text = next(texts)
        try:
            plan = planned(put(case, field, f"/srv/{text}" if field in ROOTED else text), name)
            plan_script(plan)
        except StormdeskError as error:
            one_line(error, f"{name} --{field} {text!r}")
        else:
            plans.append(plan)
            got.add((name, field))
            taken += 1
    arrives(host.sandbox, plans)
    repeated.append(f"hostile parameters, {host.sandbox.shell}: {count} of {ALL}, {taken} of them planned")
    assert taken > count / 10
    assert {field for _, field in got} >= {"path", "pidfile", "pattern", "service", "user"}


def test_no_name_of_an_inventory_becomes_shell(host: Rig) -> None:
    """What an inventory may hold is refused when it is read, or arrives as it is in the plans that use it."""
    count = ALL * host.counts // 1000
    random, plans = Random(f"names {host.sandbox.shell}"), []
    _, _, case = next(one for one in targets() if one[:2] == ("process-crashloop", "service"))
    for text in itertools.islice(strings(random), count):
        service = {"user": "trading", "manager": "supervisor"}
        entry = {
            **PLAIN,
            "services": {text: service},
            "paths": {text: text},
            "networks": {text: {"interface": text, "address": text}},
        }
        read = documents.collect("demo", "", {"trader-a": entry}, "x").host("trader-a")
        for key in ("name", "role", "address", "user", "host_key"):
            value = f"{random.choice(('', 'a', 'ssh-ed25519 '))}{text}"
            try:
                documents.collect("demo", "", {value if key == "name" else "trader-a": {**entry, key: value}}, "x")
            except UsageError as error:
                one_line(error, f"{key} {value!r}")
            else:
                assert re.fullmatch(r"[\w.:@-]+|ssh-ed25519 [\w/+]+=*( .*)?", value, re.ASCII), (
                    f"{key} {value!r} was taken"
                )
        host_of = {"services": dict.fromkeys(read.services, service), "paths": dict(read.paths)}
        try:
            plan = planned({**case, "params": {"service": text}, "host": host_of}, "process-crashloop")
            plan_script(plan)
        except StormdeskError as error:
            one_line(error, repr(text))
        else:
            plans.append(plan)
    assert len(plans) > count / 10
    arrives(host.sandbox, plans)


def test_no_word_of_an_operator_becomes_shell(host: Rig) -> None:
    """A reason to halt is kept as it was typed; the id of a run that does not exist is that of none."""
    scripts = host_scripts()
    assert host.sandbox.script(render.halt(scripts, EVIL)).ok
    assert host.status().halt == EVIL
    assert host.sandbox.script(render.lift(scripts)).ok
    for script in (
        render.revert(scripts, EVIL, EVIL, 0.1),
        render.clear(scripts, EVIL),
        render.facts(scripts, {"said": ("printf", "%s", EVIL)}, (EVIL,)),
        render.witnesses([("printf", "%s", EVIL)]),
    ):
        done = host.sandbox.script(script)
        assert "syntax error" not in done.stderr.lower()
    assert EVIL in done.stdout


FOLDER = f"/var/lib/trading/{EVIL}"
VOLUME = f"mount -t tmpfs -o size=64m,nr_inodes=300 tmpfs {shlex.quote(FOLDER)}"
REAL: Mapping[str, tuple[Fault, str]] = {
    "disk-full": (DiskFull(path=FOLDER), ""),
    "disk-readonly": (DiskReadonly(path=FOLDER), VOLUME),
    "inode-full": (InodeFull(path=FOLDER), VOLUME),
    "dir-vanish": (DirVanish(path=FOLDER), ""),
    "dir-vanish, covered": (DirVanish(path=FOLDER, mechanism="cover"), ""),
    "file-corrupt": (FileCorrupt(path=f"{FOLDER}/{EVIL}"), ""),
    "file-permission": (FilePermission(path=f"{FOLDER}/{EVIL}", user="nobody", mode=FileMode("000")), ""),
    "io-stress": (IoStress(path=FOLDER), VOLUME),
    "process-kill": (ProcessKill(pattern=EVIL, signal=Signal("STOP")), ""),
    "process-pause": (ProcessPause(pattern=EVIL), ""),
    "fd-exhaust": (FdExhaust(pidfile=f"{FOLDER}/pid"), ""),
}


def test_what_has_such_a_name_is_broken_and_healed(host: Rig, name: str) -> None:
    fault, mount = REAL[name]
    box, folder, file = host.sandbox, shlex.quote(FOLDER), shlex.quote(f"{FOLDER}/{EVIL}")
    box.sh(
        f"mkdir -p {folder}; {mount or ':'}; mkdir -p {file}; rmdir {file}; echo kept >{file}; chmod -R u=rwX,go=rX {folder}\n"
        f"setsid sh -c 'while :; do sleep 1; done' {shlex.quote(EVIL)} </dev/null >/dev/null 2>&1 & echo $! >{folder}/pid; sleep 0.2"
    )
    try:
        before = picture(box)
        done = host.arm(host.plan(fault))
        assert states(done) == CONFIRMED, done
        done = host.revert()
        assert (done.code, states(done)[-1]) == (0, "REVERTED"), done
        assert host.clear().ok
        same(before, box)
        assert not box.script(f"test -e {HIT}").ok
    finally:
        host.revert()
        host.clear()
        box.script(f"kill -9 $(cat {folder}/pid); umount {folder}; rm -rf /var/lib/trading/a*")
