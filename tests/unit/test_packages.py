"""Dependencies on Debian packages, from dpkg's status file: text in, versions and changes out."""

from __future__ import annotations

import random

import pytest

from stormdesk.infra import packages

NAMES = ("server", "awk")


def stanza(
    name: str, version: str = "1", *, state: str = "install ok installed", arch: str = "amd64", **fields: str
) -> str:
    lines = [f"Package: {name}", f"Status: {state}", f"Architecture: {arch}", f"Version: {version}"]
    return "\n".join([*lines, *(f"{key.replace('_', '-')}: {value}" for key, value in fields.items())])


MACHINE = {
    "dpkg": stanza("dpkg", "1.21"),
    "libc6": stanza("libc6", "2.36", Multi_Arch="same", Description="it\n Depends: nothing\n .\n Package: none"),
    "libc6:i386": stanza("libc6", "2.36", arch="i386"),
    "python3": stanza("python3", "3.11", Depends="libc6 (>= 2.1)", Multi_Arch="allowed"),
    "mawk": stanza("mawk", "1.3", Provides="awk, posix-awk (= 1)", Depends="libc6"),
    "perl": stanza("perl", "5.36", arch="all", Depends="libc6"),
    "unrelated": stanza("unrelated", "7", Depends="libc6, libtoy"),
    "libtoy": stanza("libtoy", "1"),
    "bash": stanza("bash", "5", Essential="yes", Pre_Depends="libc6"),
}
AFTER = MACHINE | {
    "server": stanza(
        "server", "4",
        Pre_Depends="libc6 (>= 2.36~) [amd64]",
        Depends="python3:any | python2,\n fancy-perl | perl (>= 5), virtual-log (= 3), libhelper",
        Recommends="unrelated", Suggests="bash",
    ),
    "libhelper": stanza("libhelper", "2", Depends="server"),  # a circle
    "logger": stanza("logger", "3", Provides="virtual-log (= 3)"),
}  # fmt: skip
NEEDED = {"server", "libhelper", "logger", "libc6", "python3", "perl", "mawk"}


def status(stanzas: dict[str, str]) -> str:
    return "\n\n".join(stanzas.values()) + "\n\n"


MADE = packages.made(status(MACHINE), status(AFTER), NAMES)


def test_what_is_needed_is_the_dependencies_and_nothing_else() -> None:
    """Alternatives, virtual packages, qualifiers and circles; no Recommends, no essential package that nobody names."""
    assert set(MADE) == NEEDED
    assert MADE["libc6"] == ("2.36", "2.36")
    assert MADE["server"] == (None, "4")


def test_a_foreign_architecture_needs_its_own_libraries() -> None:
    there = packages.installed(status(MACHINE | {"wine": stanza("wine", arch="i386", Depends="libc6, perl:any")}))
    assert packages.closure(there, ["wine"]) == {"wine:i386", "libc6:i386", "perl", "libc6"}
    assert packages.closure(there, ["libc6:i386"]) == {"libc6:i386"}


UNRELATED = {
    "install": {"new": stanza("new", Depends="libc6")},
    "install of what provides something that is needed": {"gawk": stanza("gawk", Provides="awk, virtual-log")},
    "install of another alternative": {"python2": stanza("python2", "2.7")},
    "install of a copy as in the layer": {"server": AFTER["server"], "libhelper": AFTER["libhelper"]},
    "install for a foreign architecture": {"perl:i386": stanza("perl", "9", arch="i386")},
    "upgrade": {"unrelated": stanza("unrelated", "8")},
    "upgrade of an essential package": {"bash": stanza("bash", "6")},
    "upgrade of a foreign architecture": {"libc6:i386": stanza("libc6", "2.37", arch="i386")},
    "removal": {"unrelated": stanza("unrelated", "7", state="deinstall ok config-files")},
    "purge": {"unrelated": "", "libtoy": ""},
    "half-configured": {"unrelated": stanza("unrelated", "8", state="install ok half-configured")},
    "half-installed": {"unrelated": stanza("unrelated", "8", state="install reinstreq half-installed")},
    "hold": {"libc6": stanza("libc6", "2.36", state="hold ok installed")},
    "mark for removal": {"libc6": stanza("libc6", "2.36", state="deinstall ok installed")},
    "a trigger that waits": {"libc6": stanza("libc6", "2.36", state="install ok triggers-awaited")},
    "to be configured": {"perl": stanza("perl", "5.36", arch="all", state="install ok unpacked")},
    "other fields": {"libc6": stanza("libc6", "2.36", Depends="new", Conffiles="\n /etc/x 0123", Essential="yes")},
}


@pytest.mark.parametrize("change", UNRELATED.values(), ids=UNRELATED)
def test_case_C55_what_is_not_needed_changes_nothing(change: dict[str, str]) -> None:
    assert packages.changes(MADE, status(MACHINE | change)) == []


@pytest.mark.parametrize("seed", range(5))
def test_case_C55_the_order_of_packages_and_fields_says_nothing(seed: int) -> None:
    shuffled = random.Random(seed)
    stanzas = [
        "\n".join(shuffled.sample(lines := text.split("\n"), len(lines)))
        for text in MACHINE.values()
        if "\n " not in text
    ]
    stanzas.append(MACHINE["libc6"])
    shuffled.shuffle(stanzas)
    assert packages.changes(MADE, "\n\n\n".join(stanzas)) == []


RELATED = {
    "upgrade": ({"libc6": stanza("libc6", "2.37")}, "libc6 2.36 -> 2.37"),
    "downgrade": ({"perl": stanza("perl", "5.34", arch="all")}, "perl 5.36 -> 5.34"),
    "removal": ({"perl": stanza("perl", "5.36", arch="all", state="deinstall ok config-files")}, "perl 5.36 -> absent"),
    "purge": ({"mawk": ""}, "mawk 1.3 -> absent"),
    "another version than the layer's own": ({"server": stanza("server", "5")}, "server 4 -> 5"),
    "half-installed": (
        {"perl": stanza("perl", "5.36", arch="all", state="install reinstreq half-installed")},
        "perl 5.36 -> 5.36 (half-installed)",
    ),
    "only a foreign architecture is left": ({"libc6": ""}, "libc6 2.36 -> absent"),
}


@pytest.mark.parametrize(("change", "why"), RELATED.values(), ids=RELATED)
def test_case_C55_what_is_needed_is_named_when_it_changes(change: dict[str, str], why: str) -> None:
    assert packages.changes(MADE, status(MACHINE | change)) == [why]


def test_many_changes_are_one_short_line() -> None:
    assert packages.told(["a 1 -> 2"]) == "a 1 -> 2"
    assert packages.told([f"{name} 1 -> 2" for name in "abcde"]) == "a 1 -> 2, b 1 -> 2, c 1 -> 2, and 2 more"
