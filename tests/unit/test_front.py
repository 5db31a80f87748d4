"""The task layer: exit codes, the flags that change nothing, and the cost of lists. Real command lines (tests/support/invoking.py).

For another version of invoke: `pip install --target DIR invoke==2.2.1`, then run this with PYTHONPATH=DIR.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from stormdesk.cli.command import outcome
from stormdesk.core import inventory as documents
from stormdesk.core.errors import ConnectFailed, ExitCode, HostError, RefusedError, ResidueError, UsageError
from stormdesk.core.inventory import ServiceEntry
from stormdesk.faults import FAULTS as CATALOGUE
from stormdesk.ssh.signals import LeaveNow
from tests.support.invoking import ROOT, Ended, environ, inventory, run_all, trap

HEAVY = ("paramiko", "pytest", "aiohttp", "jinja2", "rich", "pulumi", "testinfra", "psycopg", "redis", "cryptography")
FAULTS = tuple(f"chaos.{name}" for name in CATALOGUE)
READS_HOSTS = (*FAULTS, "chaos.status", "check.steady", "check.residue")  # with --plan and --dry they may


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def act() -> NoReturn:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("u"), 2),
        (RefusedError("r"), 3),
        (ConnectFailed("c"), 3),
        (KeyboardInterrupt(), 4),
        (HostError("h"), 5),
        (ResidueError("d"), 5),
        (LeaveNow("SIGTERM"), 5),
        (ZeroDivisionError("z"), 70),
        (OSError(2, "gone"), 70),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(raising(error), debug=False, as_json=False) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("answer", [None, 0, 1, ExitCode.DIRTY])
def test_what_a_task_returns_is_its_exit_code(answer: Any) -> None:
    assert outcome(lambda: answer, debug=False, as_json=False) == int(answer or 0)


def test_a_traceback_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    outcome(raising(RuntimeError("odd\x1b[31m")), debug=False, as_json=False)
    said = capsys.readouterr().err
    assert said == "internal error: RuntimeError: odd\\x1b[31m   Type it again with --debug for the traceback\n"
    outcome(raising(RuntimeError("odd")), debug=True, as_json=False)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_error_is_the_single_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    outcome(raising(RefusedError("no")), debug=False, as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"error": "no", "exit_code": 3}
    assert said.err == "no\n"


@pytest.fixture(scope="module")
def tasks() -> list[str]:
    """All task names, as invoke itself lists them."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--list", "--list-format", "json"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    top = json.loads(done.stdout)
    return [
        *(task["name"] for task in top["tasks"]),
        *(f"{group['name']}.{task['name']}" for group in top["collections"] for task in group["tasks"]),
    ]


@pytest.mark.parametrize("flag", ["--help", "-h", "--dry", "--plan"])
def test_flags_for_help_and_plans_change_nothing(flag: str, tasks: list[str], tmp_path: Path) -> None:
    """Every task, with an inventory whose hosts count connections. Only --plan and --dry of some read hosts."""
    with trap() as there:
        file = tmp_path / "inventory.json"
        file.write_bytes(documents.render(inventory(there.port, str(tmp_path / "no-key"))))
        lines = [
            [task, *_words(task, file), flag] for task in tasks if flag in ("--help", "-h") or task not in READS_HOSTS
        ]
        ended = run_all(lines, environ(tmp_path))
        assert there.count == 0
    for line, end in zip(lines, ended, strict=True):
        _check_asked(line, flag, end)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inventory.json"]


def _words(task: str, file: Path) -> list[str]:
    """Everything that the task needs to do its worst."""
    needs = {
        "env.up": ["--name", "never"],
        "env.exec": ["--inventory", str(file), "--host", "trader-a", "--command", "true"],
        "env.ssh": ["--inventory", str(file), "--host", "trader-a"],
        "chaos.revert": ["--inventory", str(file), "--all"],
        "gameday.plan": ["--runbook", "disk-full-trader"],
        "gameday.verify": ["--run", "r-20261121-0312-k3f9"],
        "gameday.run": ["--inventory", str(file), "--runbook", "disk-full-trader"],
    }
    named = {"stack.kill-switch": ["--on"], "stack.restart": ["--service", "trader"]}
    if task.startswith("stack.") and task not in ("stack.health", "stack.metrics"):
        by = [] if task in ("stack.restart", "stack.reset-breakers") else ["--by", "alice"]
        return ["--inventory", str(file), *named.get(task, []), *by]
    if task in needs:
        return needs[task]
    if task.startswith(("chaos.", "check.")) and task != "chaos.catalog":
        return ["--inventory", str(file)] + (["--host", "trader-a"] if task in FAULTS else [])
    return []


def _check_asked(line: list[str], flag: str, end: Ended) -> None:
    assert "Traceback" not in end.err, (line, end.err)
    if flag in ("--help", "-h"):
        assert (end.code, end.err) == (0, ""), line
        assert end.out.startswith(f"Usage: inv[oke] [--core-opts] {line[0]} "), line
    elif end.code == 0:
        harmless = line[0] in ("doctor", "env.list", "chaos.catalog", "venue.catalog", "gameday.list", "gameday.next")
        assert harmless or "Nothing was changed" in end.out, (line, end.out)
    else:  # a task that changes nothing has no --plan; one that reads an environment has none here
        assert end.code == 2, (line, end)
        why = (f"has no {flag}", "environment", "no such run")  # one that reads a run has none either
        assert any(said in end.err for said in why), (line, end.err)


def test_a_list_imports_nothing_heavy() -> None:
    code = "import sys, tasks; print([m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_importing_the_tasks_prints_nothing() -> None:
    """A test runner or an editor that imports tasks.py has a command line of its own."""
    code = "import sys; sys.argv = ['x', '--precent', 'chaos.nope']; import tasks; print(len(tasks.ns.task_names) > 10)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_lists_menus_and_completion(tmp_path: Path) -> None:
    lines = [["--list"], ["chaos"], ["chaos", "--help"], ["--help", "chaos"], ["--list", "chaos"], ["--help", "doctor"]]
    lines += [["--complete", "--", "invoke", "chaos.disk-full", "--"], ["--complete", "--", "invoke", "cha"]]
    listed, *menus, sub, help_, flags, names = run_all(lines, environ(tmp_path))
    assert {end.code for end in (listed, *menus, sub, help_, flags, names)} == {0}
    assert "chaos.disk-full   " in listed.out
    assert all("chaos.disk-full " in menu.out and "env.up" not in menu.out for menu in menus)
    assert "Check this machine" in help_.out
    assert "--percent" in flags.out.split()
    assert "chaos.disk-full" in names.out.split()
    assert all(end.err == "" for end in (listed, *menus, sub, help_, flags, names))


def test_help_tells_units_and_defaults(tmp_path: Path) -> None:
    (end,) = run_all([["chaos.disk-full", "--help"]], environ(tmp_path))
    text = " ".join(end.out.split())
    assert "--percent PERCENT how full, as a share of what users can allocate: 1..100 (default: 100)" in text
    assert "--for TIME how long it stays in (default: 30s)" in text
    assert "Undo: unlink" in text


def test_several_tasks_run_in_order_and_the_first_failure_ends_the_line(tmp_path: Path) -> None:
    (end,) = run_all([["chaos.catalog", "env.status", "--env", "nope", "chaos.catalog"]], environ(tmp_path))
    assert end.code == 2
    assert end.out.count("undo: unlink") == 1


def test_a_signal_ends_a_task_in_order() -> None:
    """SIGTERM while a task waits: exit 4 with one line, as Ctrl-C."""
    code = (
        "import os, signal, sys, time\n"
        "from stormdesk.cli.command import outcome\n"
        "def act():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(20)\n"
        "sys.exit(outcome(act, debug=False, as_json=False))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=15, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "stopped\n")


@pytest.mark.parametrize(
    ("words", "times"),
    [
        (["chaos.catalog", "chaos.catalog"], 2),
        (["chaos.catalog", "venue.catalog", "chaos.catalog"], 2),
        (["chaos.catalog", "--json", "chaos.catalog", "--json"], 2),
        (["chaos.catalog"], 1),
    ],
)
def test_case_C40_a_task_that_is_typed_twice_runs_twice(words: list[str], times: int, tmp_path: Path) -> None:
    (end,) = run_all([words], environ(tmp_path))
    assert end.code == 0, end.err
    assert end.out.count("network adapter down") == times


def test_case_C40_also_in_a_project_around_ours_where_its_own_tasks_stay_as_invoke_has_them(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\n"
        "from stormdesk.cli.tasks.chaos import catalog\nfrom stormdesk.tasks import ns\n"
        "@task\n"
        "def build(c): print('built')\n"
        "@task(pre=[build, catalog])\n"
        "def ship(c): print('shipped')\n"
        "@task(pre=[build, catalog])\n"
        "def sell(c): print('sold')\n"
        "for mine in (build, ship, sell): ns.add_task(mine)\n"
    )

    def said(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout

    assert said("chaos.catalog", "chaos.catalog").count("network adapter down") == 2
    once = said("build", "build", "ship", "sell")
    assert (once.count("built"), once.count("network adapter down")) == (1, 1)
    assert said("ship", "chaos.catalog").count("network adapter down") == 2


STACKS = {"stack.health", "venue.catalog"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with hosts of its own: no tasks.py, no environment."""
    engine = {"engine": ServiceEntry(user="trading", manager="supervisor", pidfile="/run/trading/trader.pid")}
    stack = inventory(9, "/nowhere")
    hosts = {name: msgspec.structs.replace(host, services=engine) for name, host in stack.hosts.items()}
    (tmp_path / "hosts.json").write_bytes(documents.render(msgspec.structs.replace(stack, hosts=hosts)))
    (tmp_path / "stack.json").write_bytes(documents.render(stack))
    return tmp_path


def typed(folder: Path, *words: str) -> Ended:
    """The console script, typed in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", "from stormdesk.cli.main import main; main()", *words],
        cwd=folder, env={**environ(folder), "PYTHONSAFEPATH": "1"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def listed(folder: Path, *words: str) -> set[str]:
    return set(typed(folder, "--list", *words).out.split())


def test_the_script_needs_no_tasks_py_and_says_what_to_type(project: Path) -> None:
    assert {"chaos.disk-full", "env.up", "doctor"} <= listed(project)
    menu = typed(project)
    assert (menu.code, menu.err) == (0, "")
    assert "Try first:   stormdesk doctor && stormdesk demo" in menu.out
    assert "invoke" not in menu.out
    assert typed(project, "chaos.disk-ful") == Ended(
        2, "", "no task 'chaos.disk-ful'. Did you mean: chaos.disk-full?\n"
    )
    assert typed(project, "chaos.status") == Ended(2, "", "no environment is up. Type: stormdesk env.up\n")
    wrong = typed(project, "env.up", "--ttl", "soon")
    assert wrong.code == 2
    assert wrong.err.startswith("--ttl ")
    assert len(wrong.err.splitlines()) == 1
    assert typed(project, "env.list", "--help").out.startswith("Usage: stormdesk [--core-opts] env.list ")
    assert typed(project, "chaos.catalog", "chaos.catalog").out.count("network adapter down") == 2


def test_the_script_runs_only_a_tasks_py_with_our_tasks(project: Path) -> None:
    (project / "tasks.py").write_text("raise SystemExit('not for us')\n")
    assert typed(project, "chaos.catalog").code == 0
    (project / "tasks.py").write_text(
        "from invoke import task\nfrom stormdesk.tasks import ns\n@task\ndef ship(c): print('shipped')\nns.add_task(ship)\n"
    )
    assert typed(project, "ship").out == "shipped\n"
    assert {"ship", "chaos.catalog"} <= listed(project)


def test_only_a_checkout_has_the_developers_tasks(project: Path, tasks: list[str]) -> None:
    assert "dev.check" in tasks
    assert typed(ROOT, "--list").out == subprocess.run(
        [sys.executable, "-m", "invoke", "--list"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout  # fmt: skip
    assert not any(name.startswith("dev.") for name in listed(project))
    assert typed(project, "dev.check").code == 2
    assert "no task 'dev.check'" in typed(project, "dev.check").err


def test_without_a_trading_stack_its_tasks_are_hidden_but_work(project: Path, tasks: list[str]) -> None:
    assert set(tasks) >= STACKS
    assert not STACKS & listed(project)
    assert "invoke --list stack" not in typed(project).out
    assert "stormdesk --list stack" in typed(project).out
    assert "stack.health" in typed(project, "--list", "stack").out
    refused = typed(project, "stack.health", "--inventory", "hosts.json")
    assert refused.code == 2
    assert refused.err.startswith("trap is no trading stack of Stormdesk (no feeder, trader, guard, ...)")
    assert len(refused.err.splitlines()) == 1
    assert "no guard on trap" in typed(project, "stack.health", "--inventory", "stack.json").err
    (project / "state/envs/demo").mkdir(parents=True)
    (project / "state/envs/demo/inventory.json").write_bytes((project / "stack.json").read_bytes())
    assert listed(project) >= STACKS
