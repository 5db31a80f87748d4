"""The side effects of importing Stormdesk in another process: only names of our own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "cli.pytest_plugin", "cli.api", "ssh.testinfra_backend", "ssh.transport", "ssh.pool", "cli.check_tasks", "run.runner",
)  # fmt: skip
LOOK = """
import importlib, json, logging, os, random, resource, signal, socket, sys, threading, warnings
import invoke, paramiko, pytest, testinfra.backend

def plain(kind):
    return {name: repr(value) for name, value in vars(kind).items()}

def picture():
    loggers = {name: logging.getLogger(name).level for name in ("", "paramiko", "paramiko.transport", "pytest", "invoke")}
    return {
        "backends": {k: v for k, v in testinfra.backend.BACKENDS.items() if not k.startswith("stormdesk")},
        "loggers": loggers,
        "handlers": repr(logging.root.handlers),
        "disabled": logging.root.manager.disable,
        "warnings": repr(warnings.filters),
        "signals": {str(s): repr(signal.getsignal(s)) for s in signal.valid_signals()},
        "hooks": repr((sys.excepthook, threading.excepthook, sys.unraisablehook, sys.settrace)),
        "path": list(sys.path),
        "bytecode": sys.dont_write_bytecode,
        "timeout": socket.getdefaulttimeout(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "random": hash(random.getstate()),
        "environ": dict(os.environ),
        "paramiko": [plain(kind) for kind in (paramiko.Transport, paramiko.Channel, paramiko.PKey, paramiko.SSHClient)],
        "invoke": [plain(kind) for kind in (invoke.Task, invoke.Collection, invoke.Program, invoke.Parser)],
        "ssh": repr(testinfra.backend.get_backend_class("ssh")),
    }

importlib.import_module("testinfra.backend.ssh")
before = picture()
importlib.import_module(sys.argv[1])
after = picture()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""


@pytest.mark.parametrize("module", [f"stormdesk.{name}" for name in MODULES])
def test_case_C39_importing_changes_nothing_of_others(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, module], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_case_C39_our_checks_still_bound_each_command_of_ssh(tmp_path: Path) -> None:
    from stormdesk.ssh.testinfra_backend import BoundedSshBackend, by_hostspec

    hosts = by_hostspec(["ssh://a", "ssh://b?sudo=true", "c"], None, tmp_path)
    assert sorted(hosts) == ["a", "b", "c"]
    assert all(isinstance(host.backend, BoundedSshBackend) for host in hosts.values())
