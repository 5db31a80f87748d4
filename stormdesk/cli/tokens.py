"""What stands for something else in an ssh_config: `%h`, `${VAR}`, `~user`. Pure; ssh_config(5), TOKENS.

`ssh -G` fills most of it in itself. What it leaves as it was typed is filled in here, from what the same call says of each token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stormdesk.core.errors import UsageError
from stormdesk.core.values import shown

MARK = "\x1f"  # between two values; nothing that people type in an ssh_config
ASKED = "CdhikLlnpru"  # all tokens of a key file but %j, which older versions of ssh do not know
ASK = "ControlPath=" + '"' + "".join(f"{MARK}%{letter}" for letter in ASKED) + MARK + '"'  # ControlPath takes them all
PROXY = "hknpr"  # of ProxyCommand and ProxyJump


@dataclass(frozen=True)
class Facts:
    """What words are filled in from: tokens by letter, environment variables, and home folders (`""` is one's own).

    `home_of` gives "" for a user that there is not.
    """

    tokens: Mapping[str, str]
    environ: Mapping[str, str]
    home_of: Callable[[str], str]


def told(control_path: str, proxy_jump: str) -> Mapping[str, str]:
    """The tokens' values, from what `ssh -G -o ASK` prints of ControlPath and ProxyJump. UsageError: it is not an answer to ASK."""
    values = control_path.split(MARK)
    if len(values) != len(ASKED) + 2:
        raise UsageError(f"ssh -G says ControlPath {shown(control_path)}, which is not what was asked")
    return dict(zip(ASKED, values[1:-1], strict=True)) | {"j": proxy_jump}


def path(text: str, facts: Facts) -> str:
    """A file name as ssh reads it: `~`, `~user`, tokens, `${VAR}`. Raises UsageError for what ssh would not take either."""
    found = re.match(r"~([^/]*)(?:/+|$)", text)
    if not found:
        return filled(text, facts)
    home = facts.home_of(found[1])
    if not home:
        raise UsageError(f"{shown(text)}: no such user: {shown(found[1])}")
    # A home folder is what it is: a % in it is no token.
    return f"{home.rstrip('/')}/{filled(text[found.end() :], facts)}"


def filled(text: str, facts: Facts) -> str:
    """Tokens and `${VAR}` filled in, each once. Raises UsageError for a token that ssh does not know, and a VAR that is not set."""

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
    """A ProxyCommand in which only %h, %p, %r and %% are left: those that whoever starts it fills in. Raises UsageError."""

    def value(found: re.Match[str]) -> str:
        if found[0] in ("%%", "%h", "%p", "%r"):
            return found[0]
        if found[0][1:] not in (*PROXY,):
            raise UsageError(f"ProxyCommand {shown(text)}: ssh knows no {shown(found[0])} here")
        return tokens[found[0][1:]].replace("%", "%%")

    return re.sub("%.?", value, text, flags=re.DOTALL)
