"""Our scripts as dash and busybox ash read them: quoting, here-documents, and the syntax of every script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from stormdesk.core.errors import UsageError
from stormdesk.core.shell import SAVE, assignments, function, here_document, to_file, words
from stormdesk.host import library
from stormdesk.host.scripts import host_scripts
from tests.cases.planning import PLANS, arm_script, load, planned
from tests.shell.sandbox import SHELLS, Sandbox
from tests.shell.test_tools import commands

STRINGS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=40)
NASTY = [
    "",
    "'",
    '"',
    "\\",
    "$(reboot)",
    "`id`",
    "a b",
    "*",
    "~",
    "-n",
    "-",
    "!",
    "#x",
    ";",
    "\n",
    "\n\n",
    "\t",
    "&",
    "%s",
    "é",
    "\\n",
]
BATCH = settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=SHELLS)
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(request.param) as sandbox:
        yield sandbox


@BATCH
@given(texts=st.lists(STRINGS, min_size=100, max_size=120))
@example(texts=NASTY)
def test_any_words_arrive_unchanged(box: Sandbox, texts: list[str]) -> None:
    """100 examples of 100 strings: 10 000 on each shell, one process for a hundred of them."""
    script = f"show() {{ for word; do printf '%s\\000' \"$word\"; done; }}\nshow {words(tuple(texts))}\n"
    assert box.sh(script).split("\0")[:-1] == texts


@settings(BATCH, max_examples=20)
@given(texts=st.lists(STRINGS, min_size=30, max_size=40))
@example(texts=NASTY)
def test_any_values_and_functions_arrive_unchanged(box: Sandbox, texts: list[str]) -> None:
    values = {f"V{number}": text for number, text in enumerate(texts)}
    script = assignments(values)
    script += "".join(f"printf '%s\\000' \"${name}\"\n" for name in values)
    script += function("say", [("printf", "%s\\000", text) for text in texts]) + "say\n"
    assert box.sh(script).split("\0")[:-1] == [*texts, *texts]


@settings(BATCH, max_examples=30)
@given(text=STRINGS)
@example(text="no newline at the end")
@example(text="S\xa0")  # begins as the delimiter once did: dash lost a byte
@example(text="STORMDESK\n$HOME `id` $(id) \\ \\\\\n'\"\n")
def test_any_here_document_arrives_unchanged(box: Sandbox, text: str) -> None:
    assume(not any(line.startswith("@") for line in text.split("\n")))
    script = "rec=/run\n" + SAVE + here_document("text", text) + "cat /run/text\n"
    assert box.sh(script) == (text if text.endswith("\n") else text + "\n")


@settings(BATCH, max_examples=30)
@given(text=STRINGS)
@example(text="STORMDESK\n$HOME `id` $(id) \\ \\\\\n'\"\n")
@example(text="@STORMDESK_END\nS\xa0\n-n %s\n")
def test_any_file_arrives_unchanged(box: Sandbox, text: str) -> None:
    assert box.sh(f"rec=/run\n{SAVE}" + to_file("text", text) + "cat /run/text\n") == text


def test_a_file_that_has_no_room_is_an_error(box: Sandbox) -> None:
    done = box.script(f"rec=/dev\n{SAVE}" + to_file("full", "a" * 20000) + "echo went on\n")
    assert (done.code, done.stdout) == (74, "")


@pytest.mark.parametrize("bad", ["\0", "\x1b[31m", "a\rb", "\x07", "\x7f"])
def test_control_characters_are_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="control characters"):
        words(("echo", bad))


@pytest.mark.parametrize("text", ["a\n@STORMDESK_END\nb\n", "@", "a\n@b"])
def test_a_text_that_could_hold_the_delimiter_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"no line of plan\.sh may begin with @"):
        here_document("plan.sh", text)


def test_every_script_is_valid_shell(box: Sandbox) -> None:
    texts = {name: text for name, text in host_scripts().items() if name.endswith(".sh")}
    for path in PLANS:
        fault, case = load(path)
        plan = planned(case, fault)
        texts[path.stem] = arm_script(plan)
    assert len(texts) > 30
    script = (
        "rec=/run\n" + SAVE + "".join(here_document(f"{n}.sh", _inert(text)) for n, text in enumerate(texts.values()))
    )
    script += "for file in /run/*.sh; do sh -n $file || exit 1; done\n"
    done = box.script(script)
    assert (done.code, done.stderr) == (0, "")


def _inert(text: str) -> str:
    """The delimiter of our own here-documents, so that they can be put into one."""
    return text.replace("@STORMDESK_END", "INNER_END")


def test_deadlines_are_in_time_since_boot_rule_R3() -> None:
    """No script but a probe asks the wall clock: it may be what is being broken."""
    scripts = host_scripts()
    assert "/proc/uptime" in library.core(scripts)
    for name, text in scripts.items():
        used = commands(text) if not name.startswith("probes/") else set()
        assert not used & {"date", "hwclock"}, name
