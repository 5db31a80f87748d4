"""Rule R2: a whole run and its watchdog need POSIX tools and those probed on the host, and no others."""

from __future__ import annotations

import re

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.states import as_shell
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.host.scripts import host_scripts
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, beside, picture, same, states
from tests.shell.sandbox import eventually

REC = "/run/stormdesk/r-20261121-0312-k3f9"
POSIX = {
    "awk",
    "basename",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dd",
    "df",
    "dirname",
    "env",
    "expr",
    "grep",
    "head",
    "id",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mv",
    "od",
    "printf",
    "renice",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sleep",
    "sort",
    "tail",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
}
OF_EVERY_HOST = {
    "ip",
    "readlink",
    "stat",
    "sha256sum",
    "setsid",
    "timeout",
    "sync",
    "base64",
    "su",
}  # busybox has them, and steps/arm.sh asks
# Used only where they are found, or where the inventory says that a service is theirs. The confined run has none of them.
WHERE_THERE = {
    "tc",
    "nft",
    "iptables-save",
    "ip6tables-save",
    "iptables-legacy-save",
    "ip6tables-legacy-save",
    "supervisorctl",
    "systemctl",
    "systemd-run",
    "fallocate",
    "setpriv",
    "unshare",
    "lsattr",
    "prlimit",
    "python3",
    "sv",
    "docker",
    "bash",
    "iptables",
    "ip6tables",
    "reboot",
}
# What single faults need, which their plans name: a host without them is refused.
OF_A_FAULT = {"curl", "mount", "mountpoint", "perl", "strace", "umount", "xargs"}
# What checks and cuts ask a stack's own hosts by; no watchdog and no revert has them.
OF_A_PROBE = {"curl", "date", "find", "gzip", "redis-cli", "xargs"}
ALLOWED = sorted(POSIX | OF_EVERY_HOST)
CONFINED = "/run/only:/run/others"


def confine(host: Rig) -> None:
    """From now on its scripts find nothing but ALLOWED; whatever else a host has is noted in /run/called."""
    host.sandbox.sh(
        "mkdir /run/only /run/others && cd /run/others\n"
        "for tool in /usr/local/sbin/* /usr/local/bin/* /usr/sbin/* /usr/bin/* /sbin/* /bin/*; do\n"
        "  tool=${tool##*/}\n"
        f"  case ' {' '.join([*ALLOWED, *WHERE_THERE])} ' in *\" $tool \"*) continue ;; esac\n"
        '  printf \'#!/bin/sh\\necho "${0##*/}" >>/run/called\\nexit 127\\n\' >"$tool"\n'
        "done\n"
        "chmod 755 /run/others/*\n"
        f"for tool in {' '.join(ALLOWED)}; do where=$(command -v $tool) && case $where in\n"
        '  /*) ln -s "$where" /run/only/ ;; *) ln -s /usr/bin/$tool /run/only/ ;; esac\n'
        "done"
    )
    host.sandbox.path = CONFINED
    clock = re.sub(r"^PATH=.*$", f"PATH={CONFINED}", host.scripts["core/clock.sh"], flags=re.MULTILINE)
    assert clock != host.scripts["core/clock.sh"]
    host.scripts = {**host.scripts, "core/clock.sh": clock}


def heals_by_itself(host: Rig, fault: Fault) -> None:
    before = picture(host.sandbox)
    everything = host.sandbox.path
    confine(host)
    assert states(host.arm(changed(host.plan(fault), ttl_s=4.0))) == CONFIRMED
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 20)
    assert host.record().value("reverted_by") == "watchdog"
    assert host.revert().ok
    assert host.clear().ok
    assert host.sandbox.sh("[ ! -e /run/called ] || sort -u /run/called") == ""
    assert host.sandbox.script("perl -e 1").code == 127  # such a call would have been seen
    assert host.sandbox.sh("cat /run/called") == "perl\n"
    host.sandbox.path = everything
    host.sandbox.sh("rm -r /run/only /run/others /run/called")
    same(before, host.sandbox)


BUILT_IN = {
    ":",
    ".",
    "[",
    "break",
    "case",
    "cd",
    "command",
    "continue",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "fi",
    "for",
    "if",
    "in",
    "local",
    "printf",
    "read",
    "return",
    "set",
    "shift",
    "then",
    "trap",
    "until",
    "wait",
    "while",
    "umask",
    "unset",
    "!",
    "{",
    "}",
    "test",
    "true",
    "false",
    "kill",
}
_HERE = re.compile(r"<<(\w+)\n.*?^\1$", re.MULTILINE | re.DOTALL)
_PATTERN = re.compile(
    r"(?<=;;)\s*\(?[^\s()]+(\s*\|\s*[^\s()]+)*\)|\bcase\s+\S+\s+in\s+\(?[^\s()]+(\s*\|\s*[^\s()]+)*\)"
)
_COMMAND = re.compile(
    r"(?:^|[;&|({`]|\$\(|\b(?:then|do|else|if|elif|while|until|exec|timeout \S+|setsid|xargs|sd_ask \S+|command -v)\s|!\s)"
    r"\s*(?:[A-Za-z_]\w*=[^\s(]*\s+)*(?=([A-Za-z_.:\[][\w.-]*)(?![\w.-]*=))",
    re.MULTILINE,
)


def without_strings(text: str) -> str:
    """A script with Q for what is quoted, and X for what is expanded; what is substituted stays, also in strings."""
    out, inside, at = [], ["code"], 0
    while at < len(text):
        two, one = text[at : at + 2], text[at]
        step, said = 1, one
        if inside[-1] != '"' and one == "'":
            step, said = text.index("'", at + 1) + 1 - at, "Q"
        elif inside[-1] != '"' and one == "#" and text[at - 1] in " \n":
            step, said = text.index("\n", at) - at, ""
        elif two[0] == "\\":
            step, said = 2, " " if two == "\\\n" else "Q"
        elif text.startswith("$((", at) or two == "${":
            step, said = closing(text, at + 1) - at, "X"
        elif two == "$(" or (one == "(" and inside[-1] != '"'):
            inside.append("code")
            step, said = len(two) if one == "$" else 1, "$("
        elif one == '"':
            said = "Q" if inside[-1] != '"' else ""
            inside.pop() if inside[-1] == '"' else inside.append('"')
        elif one == ")" and len(inside) > 1 and inside[-1] != '"':
            inside.pop()
        elif inside[-1] == '"':
            said = ""
        out.append(said)
        at += step
    return "".join(out)


def closing(text: str, at: int) -> int:
    """Where what opens at `at` is closed, and one further."""
    deep = 0
    for place in range(at, len(text)):
        deep += (text[place] in "({") - (text[place] in ")}")
        if deep == 0:
            return place + 1
    raise AssertionError(text[at : at + 40])


def commands(text: str) -> set[str]:
    """The words that stand where a command does."""
    bare = _PATTERN.sub(" ", without_strings(_HERE.sub("", text)))
    return {word for word in _COMMAND.findall(bare) if word.strip("QX")}


# By folder of the host library: what its files may call besides POSIX, what every host has, and what is used where it is there.
MAY_CALL = {"core": {"logger"}, "picture": set(), "steps": set(), "verbs": OF_A_FAULT, "probes": OF_A_PROBE}


@pytest.mark.parametrize("name", [name for name in host_scripts() if name.endswith(".sh")])
def test_a_file_calls_only_what_is_allowed_rule_R2(name: str) -> None:
    words = {
        word
        for text in (as_shell(), *host_scripts().values())
        for word in re.findall(r"^(\w+)\(\)", text, re.MULTILINE)
    }
    allowed = BUILT_IN | POSIX | OF_EVERY_HOST | WHERE_THERE | MAY_CALL[name.partition("/")[0]] | words
    called = {word for word in commands(host_scripts()[name]) if not word.startswith("plan_")}
    assert called - allowed == set()


def test_commands_are_found_wherever_they_stand() -> None:
    called = set.union(*(commands(text) for name, text in host_scripts().items() if name.endswith(".sh")))
    assert {
        "cat",
        "grep",
        "sed",
        "sort",
        "sha256sum",
        "setsid",
        "renice",
        "tc",
        "su",
        "dd",
        "df",
        "readlink",
        "ln",
    } <= called
    text = (
        'a "$(b "x; y" | c)" || d=$(e "f; g")\ncase $h in i | j) k ;; esac\nif ! l; then m; fi # n\n'
        "o '; p' <<END\nq\nEND\n"
    )
    assert commands(text) - BUILT_IN == {"a", "b", "c", "e", "k", "l", "m", "o"}


@beside
def test_a_full_disk_needs_no_more_than_posix_tools_rule_R2(host: Rig) -> None:
    heals_by_itself(host, DiskFull())


@beside
def test_a_cut_needs_no_more_than_posix_tools_rule_R2(host: Rig) -> None:
    heals_by_itself(host, AdapterDown(interface="eth1"))
