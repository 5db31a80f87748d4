"""Expansions in an ssh_config: as ssh does them, or refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormdesk.cli import tokens
from stormdesk.cli.tokens import MARK, Facts
from stormdesk.core.errors import UsageError

HOMES = {"": "/home/me", "ops": "/srv/ops/", "odd": "/home/100%h"}
TOKENS = {letter: f"<{letter}>" for letter in "CdhijkLlnpru"}
FACTS = Facts(TOKENS, {"B": "/b", "EMPTY": "", "ODD": "%h${B}~"}, lambda user: HOMES.get(user, ""))


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("/plain", "/plain"),
        ("~/k", "/home/me/k"),
        ("~", "/home/me/"),
        ("~ops/k", "/srv/ops/k"),
        ("~odd/%h", "/home/100%h/<h>"),
        ("/~/k", "/~/k"),
        ("${B}/k", "/b/k"),
        ("~/${B}", "/home/me//b"),
        ("${EMPTY}k", "k"),
        ("${ODD}", "%h${B}~"),
        ("$B/$k", "$B/$k"),
        ("/k%%h", "/k%h"),
        ("/k%%%h", "/k%<h>"),
        ("id_%n_%u", "id_<n>_<u>"),
        *((f"/%{letter}", f"/<{letter}>") for letter in TOKENS),
    ],
)
def test_case_C52_a_path_is_filled_in_once_as_ssh_does_it(typed: str, path: str) -> None:
    assert tokens.path(typed, FACTS) == path


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("${NOPE}/k", "${NOPE} is not set"),
        ("${}/k", "${''} is not set"),
        ("~/${NOPE}", "${NOPE} is not set"),
        ("~nobody/k", "no such user: nobody"),
        ("/k%z", "ssh knows no %z"),
        ("/k%", "ssh knows no %"),
        ("/k%\n", "ssh knows no"),
        ("/k%K", "ssh knows no %K"),
    ],
)
def test_case_C52_what_ssh_would_not_take_is_refused_in_one_line(typed: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        tokens.path(typed, FACTS)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("ssh -W %h:%p gate", "ssh -W %h:%p gate"),
        ("nc %n %k %r %%n", "nc <n> <k> %r %%n"),
        ("echo ${HOME} $X", "echo ${HOME} $X"),
    ],
)
def test_case_C52_a_proxy_command_keeps_the_tokens_that_its_caller_knows(typed: str, left: str) -> None:
    assert tokens.proxy(typed, TOKENS) == left


@pytest.mark.parametrize("typed", ["nc %z", "nc %d", "nc %", "nc %C"])
def test_case_C52_an_unknown_token_in_a_proxy_command_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="ProxyCommand nc %"):
        tokens.proxy(typed, TOKENS)


@given(text=st.text("~%${}abhC/ \n", max_size=12))
def test_no_path_causes_a_traceback(text: str) -> None:
    for read in (lambda: tokens.path(text, FACTS), lambda: tokens.proxy(text, TOKENS)):
        try:
            assert "<a>" not in read()
        except UsageError as error:
            said = str(error)
            assert said.isprintable(), said


def test_the_tokens_are_those_that_ssh_was_asked_for() -> None:
    answer = MARK + MARK.join(f"<{letter}>" for letter in tokens.ASKED) + MARK
    assert tokens.told(answer, "<j>") == TOKENS
    for bad in ("", "none", answer + MARK):
        with pytest.raises(UsageError, match="not what was asked"):
            tokens.told(bad, "")
