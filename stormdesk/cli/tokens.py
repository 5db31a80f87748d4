"""Expansions in an ssh_config: `%h`, `${VAR}`, `~user`. Pure; ssh_config(5), TOKENS.

`ssh -G` expands most of them itself. The rest is expanded here, from the values of the tokens that the same call reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stormdesk.core.errors import UsageError
from stormdesk.core.values import shown

MARK = "\x1f"  # between two values; never typed in an ssh_config
ASKED = "CdhikLlnpru"  # all tokens of a key file except %j, which is missing in older versions of ssh
ASK = (
    "ControlPath=" + '"' + "".join(f"{MARK}%{letter}" for letter in ASKED) + MARK + '"'
)  # ControlPath accepts all of them
PROXY = "hknpr"  # of ProxyCommand and ProxyJump


@dataclass(frozen=True)
class Facts:
    """The values for expansions: tokens by letter, environment variables, and home folders (`""`: the current user's).

    `home_of` returns "" for an unknown user.
    """

    tokens: Mapping[str, str]
    environ: Mapping[str, str]
    home_of: Callable[[str], str]


def told(control_path: str, proxy_jump: str) -> Mapping[str, str]:
    """The tokens' values, from ControlPath and ProxyJump in the output of `ssh -G -o ASK`. Raises UsageError for other output."""
    values = control_path.split(MARK)
    if len(values) != len(ASKED) + 2:
        raise UsageError(f"ssh -G says ControlPath {shown(control_path)}, which is not what was asked")
    return dict(zip(ASKED, values[1:-1], strict=True)) | {"j": proxy_jump}


def path(text: str, facts: Facts) -> str:
    """A file name as ssh reads it: `~`, `~user`, tokens, `${VAR}`. Raises UsageError for names that ssh would refuse, too."""
    found = re.match(r"~([^/]*)(?:/+|$)", text)
    if not found:
        return filled(text, facts)
    home = facts.home_of(found[1])
    if not home:
        raise UsageError(f"{shown(text)}: no such user: {shown(found[1])}")
    # A % in a home folder is not a token.
    return f"{home.rstrip('/')}/{filled(text[found.end() :], facts)}"


def filled(text: str, facts: Facts) -> str:
    """Expand tokens and `${VAR}`, once. Raises UsageError for an unknown token and an unset VAR."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] is not None:
            if found[1] not in facts.environ:
                raise UsageError(f"{shown(text)}: ${{{shown(found[1])}}} is not set")
            return facts.environ[found[1]]
        if found[0][1:] not in facts.tokens:
            raise UsageError(f"{shown(text)}: ssh knows no {shown(found[0])} here")
        return facts.tokens[found[0][1:]]

    return re.sub(r"\$\{([^}]*)\}|%.?", value, text, flags=re.DOTALL)


def proxy(text: str, tokens: Mapping[str, str]) -> str:
    """A ProxyCommand with only %h, %p, %r and %% left, which its caller expands. Raises UsageError."""

    def value(found: re.Match[str]) -> str:
        if found[0] in ("%%", "%h", "%p", "%r"):
            return found[0]
        if found[0][1:] not in (*PROXY,):
            raise UsageError(f"ProxyCommand {shown(text)}: ssh knows no {shown(found[0])} here")
        return tokens[found[0][1:]].replace("%", "%%")

    return re.sub("%.?", value, text, flags=re.DOTALL)
