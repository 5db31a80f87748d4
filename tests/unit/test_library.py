"""The host library: each verb is defined once, and a script contains exactly the verbs that it needs."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.host import library
from stormdesk.host.library import HostScripts
from stormdesk.host.scripts import host_scripts
from tests.cases.planning import PLANS, arm_script, load, planned

SCRIPTS = host_scripts()
CORE_LINES, VERB_LINES, ARM_KIB = 400, 150, 40
SMALL: HostScripts = {
    "core/a.sh": "sd_one() {\n  :\n}\n",
    "verbs/b.sh": "# sd_five is not called here\nsd_two() {\n  sd_three; sd_one\n}\n",
    "verbs/c.sh": "sd_three() {\n  sd_two\n}\n",
    "verbs/d.sh": "sd_four() {\n  :\n}\nsd_five() {\n  :\n}\n",
}


def test_every_word_is_defined_once() -> None:
    words = Counter(word for text in SCRIPTS.values() for word in re.findall(r"^(sd_\w+)\(\)", text, re.MULTILINE))
    assert len(words) > 50
    # guard.sh runs before the library is there, and refuses by a word of its own.
    assert [word for word, count in words.items() if count > 1] == []


def test_python_programs_have_one_launcher() -> None:
    shell = {name: text for name, text in SCRIPTS.items() if name.endswith(".sh")}
    assert [name for name, text in shell.items() if "python3 -c" in text and "_py" in text] == ["verbs/python.sh"]


def test_files_stay_small() -> None:
    lines = {name: len(text.splitlines()) for name, text in SCRIPTS.items()}
    assert sum(count for name, count in lines.items() if name.startswith("core/")) <= CORE_LINES
    assert {
        name: count
        for name, count in lines.items()
        if name.startswith("verbs/") and name.endswith(".sh") and count > VERB_LINES
    } == {}


def test_the_core_uses_no_verb() -> None:
    homes = library.defined(SCRIPTS)
    used = set(re.findall(r"\bsd_\w+", re.sub(r"^\s*#.*$", "", library.core(SCRIPTS), flags=re.MULTILINE)))
    assert {word for word in used if homes.get(word, "").startswith("verbs/")} == set()


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_script_has_every_function_that_it_uses(path: object) -> None:
    fault, case = load(path)  # type: ignore[arg-type]
    plan = planned(case, fault)
    text = arm_script(plan)
    used = set(re.findall(r"\bsd_\w+", text)) & set(library.defined(SCRIPTS))
    missing = used - set(re.findall(r"^(?:sd_put_in \S+ ')?(sd_\w+)(?:\(\)|=)", text, re.MULTILINE))
    assert missing == (set() if plan.change.persistent else {"sd_boot_hook_possible", "sd_boot_hook_install"})


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_plan_has_the_verbs_that_it_names_and_its_watchdog_those_of_its_undo(path: object) -> None:
    fault, case = load(path)  # type: ignore[arg-type]
    plan = planned(case, fault)
    assert len(arm_script(plan).encode()) <= ARM_KIB * 1024
    lib, verbs = library.of_plan(SCRIPTS, plan)
    homes = library.defined(SCRIPTS)
    undo = {argv[0] for step in plan.change.steps for argv in step.undo if argv[0].startswith("sd_")}
    words = (*(step.do for step in plan.change.steps), plan.proof.witness, plan.proof.still)
    rest = {argv[0] for argv in words if argv and argv[0].startswith("sd_")}
    assert all(f"{word}() {{" in lib for word in undo)
    assert all(f"{word}() {{" in lib + verbs for word in rest)
    functions = {
        word for word in re.findall(r"^(sd_\w+)\(\)", lib, re.MULTILINE) if homes.get(word, "").startswith("verbs/")
    }
    assert functions == set(library.verbs(SCRIPTS, [argv for step in plan.change.steps for argv in step.undo]))


def test_the_closure_follows_words_and_leaves_comments_and_the_rest_out() -> None:
    assert library.verbs(SMALL, [("sd_two",)]) == ("sd_three", "sd_two")
    assert library.verbs(SMALL, [("sd_one",), ("ip", "link")]) == ()
    assert library.verbs(SMALL, [("sd_four",), ("sd_three", "x")]) == ("sd_four", "sd_three", "sd_two")


def test_a_file_of_verbs_is_functions_and_comments() -> None:
    """Anything else would be in no script."""
    for name, text in SCRIPTS.items():
        if name.startswith("verbs/") and name.endswith(".sh"):
            rest = re.sub(r"^(?:sd_\w+)\(\) [{(]\n.*?^[)}]\n", "", text, flags=re.MULTILINE | re.DOTALL)
            assert [line for line in rest.splitlines() if line and not line.startswith("#")] == [], name


def test_a_word_that_no_file_defines_is_refused() -> None:
    with pytest.raises(UsageError, match="the host library has no sd_six"):
        library.verbs(SMALL, [("sd_six",)])
