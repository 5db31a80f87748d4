"""Every script that we send or ship, checked by shellcheck and dash (busybox ash: tests/shell)."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stormdesk.core.states import as_shell
from stormdesk.host.scripts import host_scripts, probe
from stormdesk.infra.backends.lab import files, kafka, layer

ROOT = Path(__file__).parents[2]
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
SHIPPED = ("script/lib.sh", "script/demo", "script/test", ".ci/run")
# What shellcheck cannot know. Plans call the words of the library (2329, 2317), and each step is a shell of its own, whose
# variables are meant to end with it (2030, 2031).
OF_A_LIBRARY = "SC2329,SC2317,SC2030,SC2031"


def library() -> str:
    """Core, verbs and every step as one text, so that each variable that is read is set somewhere."""
    scripts = {
        name: re.sub(r"^\. .*$", ":", text, flags=re.MULTILINE)
        for name, text in sorted(host_scripts().items())
        if name.endswith(".sh")
    }
    words = "".join(text for name, text in scripts.items() if name.startswith(("core/", "picture/", "verbs/")))
    steps = [text for name, text in scripts.items() if name.startswith("steps/")]
    programs = "sd_facts_awk=''\nsd_delta_awk=''\nsd_dns_py=''\nsd_shim_py=''\n"
    return (
        as_shell()
        + programs
        + words
        + "".join(f'step_{n}() {{\n{text}\n}}\nstep_{n} "$@"\n' for n, text in enumerate(steps))
    )


def probes() -> Mapping[str, str]:
    names = [name[7:-3] for name in host_scripts() if name.startswith("probes/")]
    return {name: probe(name, first="pack" if name.startswith("read_") else "")[2] for name in names if name != "pack"}


WHOLE = {**probes(), "finish": layer.FINISH, "postgres": files.POSTGRES_START, "kafka": kafka.START}
LISTED = {"finish", "postgres"}  # they `ls` Debian's folders of PostgreSQL, whose names are numbers


def shellcheck(text: str, *more: str) -> str:
    command = [SHELLCHECK, "--shell=sh", "--format=gcc", "--norc", *more, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False).stdout


def dash(text: str) -> str:
    return subprocess.run(["dash", "-n"], input=text, capture_output=True, text=True, timeout=10, check=False).stderr


def test_shellcheck_finds_nothing_in_the_host_library() -> None:
    assert shellcheck(library(), f"--exclude={OF_A_LIBRARY}") == ""


@pytest.mark.parametrize("name", WHOLE)
def test_shellcheck_finds_nothing_in_a_script_that_stands_alone(name: str) -> None:
    assert shellcheck(WHOLE[name], *(["--exclude=SC2012"] if name in LISTED else [])) == ""
    assert dash(WHOLE[name]) == ""


SHELL = [name for name in host_scripts() if name.endswith(".sh")]
AWK = [name for name in host_scripts() if name.endswith(".awk")]


@pytest.mark.parametrize("name", SHELL)
def test_dash_reads_every_file(name: str) -> None:
    assert dash(host_scripts()[name]) == ""


@pytest.mark.parametrize("name", AWK)
def test_awk_reads_every_program(name: str) -> None:
    command = ["awk", host_scripts()[name]]
    done = subprocess.run(command, input="=end\n", capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SHIPPED)
def test_shellcheck_finds_nothing_in_what_sets_a_machine_up(name: str) -> None:
    command = [SHELLCHECK, "--norc", "--external-sources", "--source-path=SCRIPTDIR", "--format=gcc", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout + done.stderr == ""


def test_every_exception_says_why() -> None:
    texts = {**host_scripts(), **{name: (ROOT / name).read_text() for name in SHIPPED}}
    bare = [
        f"{name}: {line.strip()}"
        for name, text in texts.items()
        for line in text.splitlines()
        if "shellcheck disable" in line and not re.search(r"disable=\S+  # \w", line)
    ]
    assert bare == []


@pytest.mark.parametrize("planted", ["sd_x=$sd_misspelt", "rm -rf $rec/", "local sd_x=1", 'echo "$sd_now" > $sd_base'])
def test_a_planted_mistake_is_detected(planted: str) -> None:
    assert shellcheck(f'{library()}\nplanted() {{\n{planted}\necho "$sd_x"\n}}\n', f"--exclude={OF_A_LIBRARY}") != ""


def test_broken_syntax_is_detected() -> None:
    assert dash("if true; then\n") != ""
