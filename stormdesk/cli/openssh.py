"""How ssh would reach a host: address, keys and proxy, from `ssh -G`.

Rules:
1. OpenSSH interprets its options (`ssh -G`): there is no second parser of ours.
2. A host whose key is not in a known_hosts file is refused before any connection. Nothing is trusted on first use.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stormdesk.cli import inventories, tokens
from stormdesk.cli.inventories import Named, Way
from stormdesk.cli.tokens import Facts
from stormdesk.core import inventory as documents
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.inventory import InventoryHost
from stormdesk.core.shell import words
from stormdesk.core.values import printable, shown
from stormdesk.infra import fdpass
from stormdesk.ssh import patience
from stormdesk.ssh.agent import where as socket_of

SSH_S = 10.0  # for `ssh -G`, which needs no network but may run the command of a Match line
NO_TERMINAL = "Pseudo-terminal will not be allocated because stdin is not a terminal."


def reached(named: Named, origin: str) -> InventoryHost:
    """A host as ssh would reach it. Raises UsageError, or RefusedError when its key is not known."""
    assert named.way is not None  # unusable hosts have none
    way = named.way()
    found = inventories.options(_ssh(named.name, way, origin))
    try:
        facts = _facts(found)
        names = inventories.key_names(found)
        known, where = _known_hosts(found, facts, names[0])
        key = inventories.host_key(names[0], known, *names[1:])
        if not key:
            raise RefusedError(
                f"{named.name}: no host key of {' or '.join(names)} in {where}{inventories.why_no_key(names, known)}, and "
                "nothing is trusted on first use. Log in once by ssh and compare the key, then type it again. Nothing was changed"
            )
        entry = {
            **named.about,
            "name": named.name,
            "address": inventories.sole(found, "hostname"),
            "port": inventories.port(found),
            "user": inventories.sole(found, "user"),
            "host_key": key,
            **_identities(found, facts),
            "proxy_command": _proxy(way, found, facts),
        }
    except UsageError as error:
        raise UsageError(f"{origin}: host {printable(named.name[:60])}: {error}") from error
    return documents.entry_of(named.name, entry, origin)


def _facts(found: Mapping[str, Sequence[str]]) -> Facts:
    """The values of ssh's tokens; the answer to ASK is in ControlPath."""
    jump = found.get("proxyjump", [""])[0]
    told = tokens.told(found.get("controlpath", [""])[0], jump)

    def home_of(user: str) -> str:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(user).pw_dir if user else told["d"]
        return ""

    return Facts(told, os.environ, home_of)


def _known_hosts(found: Mapping[str, Sequence[str]], facts: Facts, name: str) -> tuple[Sequence[str], str]:
    """The lines of the known_hosts files and of KnownHostsCommand, and their source, for people."""
    texts, places = [], []
    for path in (path for key in ("userknownhostsfile", "globalknownhostsfile") for path in _files(found.get(key, ()))):
        try:
            texts.append(Path(path).read_text(encoding="utf-8", errors="replace"))
            places.append(path)
        except OSError as error:
            places.append(f"{path} ({error.strerror})")
    command = found.get("knownhostscommand", ["none"])[0]
    if command != "none":
        try:
            texts.append(_command_says(command, facts, name))
            places.append("the answer of KnownHostsCommand")
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:  # ssh continues without it, too
            places.append(f"KnownHostsCommand ({printable(str(error))})")
    return texts, ", ".join(places) or "any known_hosts file"


def _command_says(command: str, facts: Facts, name: str) -> str:
    """The output of KnownHostsCommand for a host, called as ssh would call it before it connects.

    Raises UsageError, and the errors of subprocess.run.
    """
    nothing_yet = dict.fromkeys("fKt", "NONE")
    filled = replace(facts, tokens={**facts.tokens, **nothing_yet, "H": name, "I": "ORDER"})
    argv = [tokens.filled(word, filled) for word in inventories.split(command, "KnownHostsCommand")]
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=patience.scaled(SSH_S), check=False,
    ).stdout  # fmt: skip


def _ssh(name: str, way: Way, origin: str) -> str:
    argv = ("ssh", "-G", "-o", tokens.ASK, *way.words, "--", way.target)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience.scaled(SSH_S),
            check=False,
        )
    except ValueError as error:
        raise UsageError(f"{origin}: host {printable(name[:60])}: {shown(words(way.words))}: {error}") from error
    except OSError as error:
        raise RefusedError(
            f"{origin}: only ssh itself can read this, and it is not here. Type: apt-get install openssh-client"
        ) from error
    except subprocess.TimeoutExpired as error:
        waited = f"{patience.scaled(SSH_S):g} s. {patience.hint()}"
        raise RefusedError(f"{origin}: host {printable(name[:60])}: no answer of ssh -G within {waited}") from error
    if done.returncode != 0:
        said = printable(" ".join(done.stderr.replace(NO_TERMINAL, "").split())[:200])
        raise UsageError(f"{origin}: host {printable(name[:60])}: ssh says: {said or f'exit code {done.returncode}'}")
    return done.stdout


def _files(values: Sequence[str]) -> list[str]:
    """The files of a list in the output of `ssh -G`: separated by blanks, which paths may contain too."""
    words = [word for value in values for word in value.split(" ")]
    found: list[str] = []
    start = 0
    while start < len(words):
        ends = (end for end in range(len(words), start, -1) if os.path.isfile(_home(" ".join(words[start:end]))))
        end = next(ends, 0)
        if end:
            found.append(_home(" ".join(words[start:end])))
        start = end or start + 1
    return found


def _home(path: str) -> str:
    return os.path.expanduser(path)


def _identities(found: Mapping[str, Sequence[str]], facts: Facts) -> Mapping[str, object]:
    """What ssh would log in with: existing key files (or only their public halves), certificates, the agent."""

    def paths(option: str) -> list[str]:
        typed = [path for path in found.get(option, ()) if path.lower() != "none"]
        return [os.path.abspath(tokens.path(path, facts)) for path in typed]

    agent = found.get("identityagent", [""])[0]
    if "/" in agent:
        (agent,) = paths("identityagent")
    asked = bool(socket_of(agent, os.environ))
    wanted = paths("identityfile")
    files = [path for path in wanted if os.path.exists(path) or (asked and os.path.exists(f"{path}.pub"))]
    only = found.get("identitiesonly", ["no"])[0] == "yes"
    if not files and (only or not asked):
        raise UsageError(
            f"no key to log in with: there is no {', '.join(wanted[:3]) or 'IdentityFile'}, and no ssh-agent to ask. "
            "Name one: IdentityFile"
        )
    return {
        "identity_file": files[0] if files else "",
        "more_identity_files": files[1:],
        "certificate_files": paths("certificatefile"),
        "identity_agent": agent,
        "identities_only": only,
    }


def _proxy(way: Way, found: Mapping[str, Sequence[str]], facts: Facts) -> str:
    """The ProxyCommand, changed to pass back a connected socket."""
    command = found.get("proxycommand", ["none"])[0]
    if jump := found.get("proxyjump", [""])[0]:
        *before, last = jump.split(",")
        config = [word for pair in zip(way.words, way.words[1:], strict=False) if pair[0] == "-F" for word in pair]
        hops = ["-J", ",".join(before)] if before else []
        far = last if "://" in last else f"ssh://{last}"
        command = words(("ssh", *config, *hops, "-W", "[%h]:%p", "--", far))
    if command == "none" or not command:
        return ""
    command = tokens.proxy(command, facts.tokens)
    if found.get("proxyusefdpass", ["no"])[0] == "yes":
        return command
    return fdpass.wrapped(command, sys.executable)
