"""Scripts for a host: complete, and made of constants and quoted data."""

from __future__ import annotations

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.core.plan import Plan, Step
from stormdesk.host import render
from stormdesk.host.scripts import host_scripts
from tests.cases.planning import FACTS, a_plan, changed

EVIL = "a'b\"; $(reboot) `id` \\ é"
PLAN = a_plan(
    ttl_s=35.25,
    resources=(EVIL,),
    steps=(Step(("echo", EVIL), (("echo", EVIL), ("true",))), Step(("b",), (("c",),))),
    witness=("echo", EVIL),
    rechecks=((("cat", EVIL), EVIL),),
    files=(EVIL,),
)
SCRIPTS = host_scripts()


def arm(plan: Plan = PLAN, *, inject: bool = True) -> str:
    return render.arm(SCRIPTS, plan, FACTS, inject=inject, allow_no_boot_hook=False, not_after_s=99.6)


def every_script() -> dict[str, str]:
    run = PLAN.id.run_id
    return {
        "arm": arm(),
        "inject": render.inject(SCRIPTS, "/run/stormdesk", run, cuts=False),
        "revert": render.revert(SCRIPTS, run, "controller", 3.5),
        "clear": render.clear(SCRIPTS, run),
        "status": render.status(SCRIPTS),
        "facts": render.facts(SCRIPTS, {"df": ("df", EVIL)}, ("ip", "dd")),
        "halt": render.halt(SCRIPTS, EVIL),
        "lift": render.lift(SCRIPTS),
    }


@pytest.mark.parametrize("name", every_script())
def test_a_script_is_read_whole_before_its_first_command_and_has_no_stdin(name: str) -> None:
    text = every_script()[name]
    assert text.startswith("sd_main() (\n")
    assert text.endswith("\n)\nsd_main </dev/null\n")


@pytest.mark.parametrize("name", every_script())
def test_a_script_is_the_same_each_time(name: str) -> None:
    assert every_script()[name] == every_script()[name]


def test_data_appears_only_quoted() -> None:
    quoted = "'a'\"'\"'b\"; $(reboot) `id` \\ é'"
    for name, text in every_script().items():
        assert text.count("$(reboot)") == text.count(quoted), name
    assert arm().count(quoted) == 8  # resource, file, do, undo, witness, still, recheck twice


def test_every_step_has_its_do_and_its_undo_on_the_host() -> None:
    text = arm()
    for line in ("plan_do_1() {", "plan_undo_1() {", "plan_do_2() {", "plan_undo_2() {", "SD_STEPS=2"):
        assert line in text.splitlines()
    assert "plan_do_3" not in text


def test_arming_comes_before_injecting_and_only_if_asked() -> None:
    text = arm()
    assert text.index('sh "$rec/arm.sh" "$rec" 3525 || exit') < text.index('setsid sh "$rec/inject.sh" "$rec"')
    assert 'setsid sh "$rec/inject.sh" "$rec"' not in arm(inject=False)


def test_a_fault_that_cuts_us_off_is_injected_without_holding_the_channel() -> None:
    assert 'setsid sh "$rec/inject.sh" "$rec" >/dev/null 2>&1 &' in arm(changed(PLAN, cuts=True))


def test_the_host_is_told_what_must_still_be_true() -> None:
    lines = arm().splitlines()
    assert "SD_MARKER='{}'" in lines
    assert "SD_BOOT_ID=b" in lines
    assert "SD_NOT_AFTER=100" in lines
    assert f"SD_RUN={PLAN.id.run_id}" in lines


def test_control_characters_never_reach_a_script() -> None:
    for bad in ("\0", "\x1b[31m", "\r"):
        with pytest.raises(UsageError):
            arm(changed(PLAN, witness=("echo", bad)))
        with pytest.raises(UsageError):
            render.halt(SCRIPTS, bad)


def test_an_answer_of_a_probe_is_decoded() -> None:
    assert render.decode_probe("YSBiCg==") == "a b\n"
    assert render.decode_probe("/w==") == "\ufffd"
