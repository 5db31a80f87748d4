"""Runs Ansible to read its inventories: `ansible-inventory --list`, as its user would call it.

Rules:
1. The Ansible on PATH is used, with its ansible.cfg and environment; else that of the extra `stormdesk[ansible]`.
2. It never prompts for a password: hosts that need a value that cannot be decrypted are unusable.
3. Its warnings are not errors. If it could not read one of several sources, stderr says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from stormdesk.cli import ansible
from stormdesk.cli.inventories import Listing
from stormdesk.core.errors import RefusedError, StormdeskError, UsageError
from stormdesk.core.values import printable
from stormdesk.ssh import patience
from stormdesk.ssh.parallel import each

LIST_S = 120.0  # a dynamic inventory asks a cloud
CONFIG_S = VAULT_S = 30.0
SAID = 300  # characters of Ansible's output that a message repeats
# The same plain output, whatever the configuration says. An unreadable source is an error if it is the only one.
ENVIRON = {
    "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_DEBUG": "0", "ANSIBLE_VERBOSITY": "0",
    "ANSIBLE_INVENTORY_EXPORT": "0", "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1", "LC_ALL": "C.UTF-8",
}  # fmt: skip


def read(rest: str) -> Listing:
    """The hosts of `ansible:FILE[,FILE...]`. Raises UsageError or RefusedError."""
    files = _sources(rest)
    if len(files) == 1 and Path(files[0]).suffix == ".json" and os.path.isfile(files[0]):
        text = Path(files[0]).read_text(encoding="utf-8", errors="replace")
        if ansible.is_listing(text):
            return ansible.parse(text, rest, {}, _reveal)
    command = [word for file in files for word in ("-i", file)]
    answers = each(("list", "config"), lambda what: _listed(command, rest) if what == "list" else _configured())
    listed, configured = answers["list"], answers["config"]
    if isinstance(listed, StormdeskError):
        raise listed
    if isinstance(configured, StormdeskError):
        print(f"{configured}; what Ansible's configuration says of log-ins is left out", file=sys.stderr)
        configured = "[]"
    return ansible.parse(listed, rest, ansible.configured(configured), _reveal)


def _sources(rest: str) -> Sequence[str]:
    """The files of a comma-separated list; a list without any existing file is one of hosts (`web1,web2,`). Raises UsageError."""
    if not rest:
        raise UsageError("--inventory ansible:FILE: which file or directory? For example: ansible:hosts.ini")
    parts = [os.path.expanduser(part.strip()) for part in rest.split(",") if part.strip()]
    missing = [part for part in parts if not os.path.exists(part)]
    if os.path.exists(os.path.expanduser(rest)):
        return [os.path.expanduser(rest)]
    if missing and (len(missing) < len(parts) or "," not in rest):
        raise UsageError(f"--inventory ansible:{printable(missing[0][:60])}: No such file or directory")
    return [rest] if missing else parts


def _listed(command: Sequence[str], origin: str) -> str:
    done = _run("ansible-inventory", [*command, "--list"], LIST_S)
    said = _messages(done.stderr)
    if done.returncode != 0:
        raise UsageError(f"{origin}: ansible-inventory says: {_why(said, origin) or f'exit code {done.returncode}'}")
    for line in said:
        if "nable to parse" in line:
            print(f"ansible-inventory says: {line}", file=sys.stderr)
    return done.stdout


def _configured() -> str:
    done = _run("ansible-config", ["dump", "--only-changed", "-t", "connection", "--format", "json"], CONFIG_S)
    if done.returncode != 0:
        why = _why(_messages(done.stderr), "") or f"exit code {done.returncode}"
        raise RefusedError(f"ansible-config dump says: {why}")
    ansible.configured(done.stdout)  # raises for output that is not JSON
    return done.stdout


@cache
def _reveal(encrypted: str) -> str:
    """Decrypt a value by `ansible-vault`, with the password that Ansible would use. Raises UsageError."""
    with tempfile.NamedTemporaryFile("w", prefix="stormdesk-", suffix=".vault") as file:
        file.write(encrypted)
        file.flush()
        done = _run("ansible-vault", ["decrypt", "--output", "-", file.name], VAULT_S)
    if done.returncode == 0:
        return done.stdout
    said = _messages(done.stderr)
    if any("EOFError" in line for line in said):
        raise UsageError(
            "encrypted with Ansible Vault, and no password is here. Set ANSIBLE_VAULT_PASSWORD_FILE as for Ansible"
        )
    raise UsageError(f"encrypted, and ansible-vault says: {_why(said, '').replace(f' for {file.name}', '')}")


def _run(program: str, words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs without a terminal, so that it cannot prompt. Raises RefusedError."""
    argv = [_program(program), *words]
    try:
        return subprocess.run(
            argv, env={**os.environ, **ENVIRON}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=patience.scaled(seconds), check=False, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise RefusedError(f"{argv[0]} does not run: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        waited = f"{patience.scaled(seconds):g} s. {patience.hint()}"
        raise RefusedError(f"{program}: no answer within {waited}") from error


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = shutil.which(name) or (str(beside) if os.access(beside, os.X_OK) else "")
    if not found:
        raise RefusedError(
            f"no {name} here: only Ansible itself reads its inventories. Type: pip install 'stormdesk[ansible]'"
        )
    return found


def _messages(stderr: str) -> Sequence[str]:
    """Its warnings and errors, one line each, with its own line breaks removed."""
    parts = re.split(r"^(?=\[[A-Z ]+\]:|ERROR!|ERROR:)", stderr, flags=re.MULTILINE)
    return [printable(" ".join(part.split())) for part in parts if part.strip()]


def _why(said: Sequence[str], origin: str) -> str:
    """The error; when no inventory plugin could read the file, preceded by the reason of the one that it was meant for."""
    errors = [line for line in said if re.match(r"\[ERROR\]:|ERROR", line)] or said[-1:]
    kind = "yaml" if origin.endswith((".yaml", ".yml", ".json")) else "ini"
    if os.path.isfile(origin) and os.access(origin, os.X_OK):
        kind = "script"
    reasons = [line for line in said if re.search(rf"ailed to parse .*\b{kind}\b", line)]
    lines = (*reasons[:1], *errors[:1])
    return " ".join(re.sub(r"^(\[[A-Z ]+\]:|ERROR[!:])\s*(\*\s*)?", "", line)[:SAID] for line in lines)
