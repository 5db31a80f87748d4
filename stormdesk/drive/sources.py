"""Where `--inventory` may point: a JSON document, or what Ansible, OpenSSH or a Pulumi stack know of the hosts.

Rules:
1. OpenSSH says what its options mean (`ssh -G`): we do not read them in a second way.
2. A host whose key is not in a known_hosts file is refused before anything is connected to. Nothing is trusted on first use.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from stormdesk import ansible, inventories, own
from stormdesk import inventory as documents
from stormdesk.drive import patience
from stormdesk.drive.asking import each
from stormdesk.errors import RefusedError, StormdeskError, UsageError
from stormdesk.infra import fdpass
from stormdesk.inventories import Listing, Named
from stormdesk.inventory import Inventory
from stormdesk.shell import words
from stormdesk.values import printable

SSH_S = 10.0  # for `ssh -G`, which asks nobody but may run what a Match line names
STACK_S = 60.0  # for the engine to read a stack's outputs, maybe from afar
MAX_INCLUDES, MAX_DEPTH = 64, 8


def read(source: str) -> Inventory:
    """The inventory that FILE, ansible:FILE, ssh-config:FILE or pulumi:[FOLDER#]STACK names. Raises UsageError or RefusedError."""
    kind, colon, rest = source.partition(":")
    match kind if colon else "":
        case "ansible":
            return _resolved(ansible.parse(_text(rest, source), rest), rest)
        case "ssh-config":
            path = os.path.abspath(os.path.expanduser(rest))
            return _resolved(inventories.ssh_config(_included(_text(rest, source), rest), rest, path), rest)
        case "pulumi":
            return _of_stack(*_project(rest))
        case _:
            return documents.parse(_text(source, source), source)


def _project(rest: str) -> tuple[str, str]:
    """`[FOLDER#]STACK`: the Pulumi project's folder, this one where none is given, and the stack."""
    folder, _, stack = rest.rpartition("#")
    if not stack:
        raise UsageError("--inventory pulumi:STACK: which stack? For example: pulumi:staging, or pulumi:infra#staging")
    return folder or ".", stack


def _of_stack(folder: str, stack: str) -> Inventory:
    """The stack's output `stormdesk_inventory`, secret or not: it stays in memory."""
    from stormdesk.infra import pulumi_cli

    engine = pulumi_cli.require()
    origin = f"pulumi:{stack}"
    command = ["stack", "output", "--json", "--show-secrets", "--non-interactive"]
    argv = [str(engine.path), *command, "--cwd", folder, "--stack", stack]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **engine.environ()}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=patience.scaled(STACK_S), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        waited = f"{patience.scaled(STACK_S):g} s. {patience.hint()}"
        raise RefusedError(f"{origin}: no answer from the Pulumi engine within {waited}") from error
    if done.returncode != 0:
        raise UsageError(f"{origin}: the Pulumi engine says: {printable(' '.join(done.stderr.split())[:300])}")
    outputs = json.loads(done.stdout)
    if own.OUTPUT not in outputs:
        known = ", ".join(map(printable, sorted(outputs))) or "none"
        raise UsageError(f"{origin}: no output {own.OUTPUT} (there is: {known}). Make it by: from stormdesk import own")
    found = outputs[own.OUTPUT]
    return documents.parse(found if isinstance(found, str) else json.dumps(found), origin)


def _text(path: str, source: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(
            f"--inventory {printable(source[:60])}: {why}. Make one: invoke env.export --format json"
        ) from error


def _included(text: str, origin: str, depth: int = 0) -> str:
    """The text with the files that its Include lines name, as ssh finds them; ssh itself says what is in them."""
    lines = []
    for line in text.splitlines():
        lines.append(line)
        include = re.match(r"\s*include(?:\s*=\s*|\s+)(.*)", line, re.IGNORECASE)
        for name in inventories.split(include[1], origin) if include and depth < MAX_DEPTH else ():
            pattern = os.path.join(_home("~/.ssh"), _home(name))
            found = [path for path in sorted(glob.glob(pattern))[:MAX_INCLUDES] if os.path.isfile(path)]
            lines += [_included(_text(path, path), path, depth + 1) for path in found]
    return "\n".join(lines)


def _resolved(listing: Listing, origin: str) -> Inventory:
    """Ask ssh what it would do for each host, and find the host keys."""
    named = {host.name: host for host in listing.hosts}
    hosts = {}
    for name, found in each(named, lambda name: _host(named[name], origin)).items():
        if isinstance(found, StormdeskError):
            raise found
        hosts[name] = found
    document = {
        "version": documents.VERSION,
        "environment": listing.environment,
        "expires_at": listing.expires_at,
        "hosts": hosts,
    }
    return documents.parse(msgspec.json.encode(document), origin)


def _host(named: Named, origin: str) -> Mapping[str, object]:
    found = inventories.options(_ssh(named, origin))
    known = [path for key in ("userknownhostsfile", "globalknownhostsfile") for path in _files(found.get(key, ()))]
    where = inventories.key_name(found)
    key = inventories.host_key(where, [Path(path).read_text(errors="replace") for path in known])
    if not key:
        raise RefusedError(
            f"{named.name}: no host key of {where} in {', '.join(known) or 'any known_hosts file'}, and nothing is trusted on "
            f"first use. Log in once by ssh and compare the key, then type it again. Nothing was changed"
        )
    return {
        **named.about,
        "name": named.name,
        "address": found["hostname"][0],
        "port": int(found["port"][0]),
        "user": found["user"][0],
        "host_key": key,
        "identity_file": _identity(named, found),
        "proxy_command": _proxy(named, found),
    }


def _ssh(named: Named, origin: str) -> str:
    argv = ("ssh", "-G", *named.words, "--", named.target)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience.scaled(SSH_S), check=False
        )
    except OSError as error:
        raise RefusedError(
            f"{origin}: only ssh itself can read this, and it is not here. Type: apt-get install openssh-client"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RefusedError(
            f"{origin}: {words(argv)}: no answer within {patience.scaled(SSH_S):g} s. {patience.hint()}"
        ) from error
    if done.returncode != 0:
        said = printable(" ".join(done.stderr.split())[:200])
        raise UsageError(f"{origin}: host {printable(named.name[:60])}: ssh says: {said}")
    return done.stdout


def _files(values: Sequence[str]) -> list[str]:
    """The files of a list as `ssh -G` prints it: parted by blanks, which a path may have as well."""
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


def _identity(named: Named, found: Mapping[str, Sequence[str]]) -> str:
    """The first key file that is there, as ssh would try them."""
    tokens = {"%%": "%", "%d": os.path.expanduser("~"), "%h": found["hostname"][0], "%r": found["user"][0]}
    typed = map(_home, found.get("identityfile", ()))
    paths = [os.path.abspath(re.sub("%[%dhr]", lambda token: tokens[token[0]], path)) for path in typed]
    for path in paths:
        if os.path.isfile(path):
            return path
    raise UsageError(
        f"{named.name}: no key to log in with: there is no {', '.join(paths[:3]) or 'IdentityFile'}. Name one: IdentityFile"
    )


def _proxy(named: Named, found: Mapping[str, Sequence[str]]) -> str:
    """The ProxyCommand, as one that passes back a connected socket."""
    command = found.get("proxycommand", ["none"])[0]
    if jump := found.get("proxyjump", [""])[0]:
        *before, last = jump.split(",")
        config = [word for pair in zip(named.words, named.words[1:], strict=False) if pair[0] == "-F" for word in pair]
        hops = ["-J", ",".join(before)] if before else []
        far = last if "://" in last else f"ssh://{last}"
        command = words(("ssh", *config, *hops, "-W", "[%h]:%p", "--", far))
    if command == "none" or not command:
        return ""
    if found.get("proxyusefdpass", ["no"])[0] == "yes":
        return command
    return fdpass.wrapped(command, sys.executable)
