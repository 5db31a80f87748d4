"""The Pulumi project of the checkout: its settings, other files among environments, and the requirements of the CLI."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from stormdesk.core.errors import UsageError
from stormdesk.infra import environment, existing, home, program, project
from stormdesk.infra.home import Record
from stormdesk.infra.topology import Init

NAME, OTHER = (f"{what}-{os.getpid()}" for what in ("demo", "qa"))  # which no lab on this machine has
ROOT = Path(__file__).resolve().parents[2]
RUNS = Record(
    name=NAME,
    owner="me@here",
    backend="lab",
    engine=home.CLI,
    topology="core",
    ttl_s=7200.0,
    expires_at="2099-01-01T00:00:00Z",
)


def test_case_C70_the_program_lies_where_its_virtualenv_is_looked_for() -> None:
    """The language host looks from the project's folder, the launcher of dynamic resources from the program's."""
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert "main" not in described
    assert (ROOT / "__main__.py").exists()
    assert described["runtime"]["options"] == {"virtualenv": ".venv"}
    assert described["config"].keys() == project.SETTINGS.keys()
    assert {key: value["default"] for key, value in described["config"].items()} == project.SETTINGS


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_case_C70_every_plugin_that_a_package_names_has_a_stand_in(lock: str) -> None:
    """The CLI fetches a plugin for each package that starts with pulumi-, and for each with a pulumi-plugin.json."""
    providers = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["plugins"]["providers"]
    names = re.findall(r"^(\S+?)==", (ROOT / lock).read_text(), re.MULTILINE)
    wanted = {name.removeprefix("pulumi-") for name in names if name.startswith("pulumi-") or _names_a_plugin(name)}
    assert wanted == {"docker"} == {provider["name"] for provider in providers}
    assert all((ROOT / provider["path"]).is_dir() for provider in providers)


def _names_a_plugin(package: str) -> bool:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return False  # of another system
    return any(path.name == "pulumi-plugin.json" for path in files)


def test_settings_are_those_of_the_project_alone() -> None:
    given = {"stormdesk:ttl": "1h", "aws:region": "eu-1", "pulumi:tags": "{}"}
    assert project.settings(given) == {"backend": "lab", "topology": "core", "ttl": "1h", "init": "busybox"}
    with pytest.raises(
        UsageError, match=r"no setting 'topologie'. Did you mean topology\? There is: backend, topology, ttl, init"
    ):
        project.settings({"stormdesk:topologie": "core"})


def test_case_C73_what_runs_keeps_its_time_until_its_ttl_is_another() -> None:
    same = project.wanted(NAME, project.SETTINGS, RUNS, running=True)
    assert same == RUNS
    shorter = project.wanted(NAME, {**project.SETTINGS, "ttl": "5m"}, RUNS, running=True)
    assert 290 < home.seconds_left(shorter.expires_at) <= 300
    over = project.wanted(NAME, project.SETTINGS, RUNS, running=False)
    assert 7190 < home.seconds_left(over.expires_at) <= 7200
    assert home.seconds_left(project.wanted(NAME, project.SETTINGS, None, running=False).expires_at) > 7190


def test_the_init_of_a_stack_is_a_setting_that_reaches_its_hosts() -> None:
    found = project.settings({"stormdesk:init": "systemd"})
    record = project.wanted(NAME, found, None, running=False)
    assert record.init is Init.SYSTEMD
    topology, _ = program.of(record)
    assert {host.init for host in topology.hosts} == {Init.SYSTEMD}
    assert project.wanted(NAME, found, record, running=True) == record
    assert project.wanted(NAME, project.SETTINGS, None, running=False).init is Init.BUSYBOX


def test_an_init_that_there_is_not_or_that_would_change_is_one_line() -> None:
    with pytest.raises(
        UsageError,
        match=r"^init: no init 'upstart'\. There is: busybox, systemd\. Type: pulumi config set init busybox$",
    ):
        project.wanted(NAME, {**project.SETTINGS, "init": "upstart"}, None, running=False)
    changed = {**project.SETTINGS, "init": "systemd"}
    with pytest.raises(
        UsageError, match=rf"^init systemd: environment {NAME} runs with busybox, .*pulumi destroy first$"
    ):
        project.wanted(NAME, changed, RUNS, running=True)
    assert project.wanted(NAME, changed, RUNS, running=False).init is Init.SYSTEMD


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all environments, with a good one, NAME."""
    monkeypatch.setenv("STORMDESK_HOME", str(tmp_path))
    home.keep(home.directory(NAME), home.Kept(record=RUNS, material=home.draft(NAME, ["ops"])))
    return home.envs()


GOOD = json.loads(msgspec.json.encode(RUNS)) | {"name": OTHER}
BROKEN = {
    "a backend of another version": (json.dumps(GOOD | {"backend": "nope"}), "no backend 'nope'"),
    "an engine of another version": (json.dumps(GOOD | {"engine": "magic"}), "no engine 'magic'"),
    "no JSON": ("{", "JSON is malformed|truncated"),
    "nothing": ("", "truncated"),
    "no UTF-8": ("\udcff", "."),
    "a list": ("[]", "Expected `object`"),
    "a field is missing": (
        json.dumps({key: GOOD[key] for key in GOOD if key != "ttl_s"}),
        "missing required field `ttl_s`",
    ),
    "a field of another type": (json.dumps(GOOD | {"ttl_s": "2h"}), "Expected `float`"),
    "a time that is none": (json.dumps(GOOD | {"expires_at": "soon"}), "does not match"),
    "of another environment": (json.dumps(GOOD | {"name": "other"}), "it is of 'other'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_case_C72_a_broken_record_is_named_and_stops_nobody(kept: Path, what: str) -> None:
    text, why = BROKEN[what]
    (kept / OTHER).mkdir()
    (kept / OTHER / "environment.json").write_bytes(text.encode(errors="surrogateescape"))
    said: list[str] = []
    found = {e.name: e.state for e in environment.listing(said.append) if e.state != "elsewhere"}
    assert found == {NAME: "gone", OTHER: "gone"}
    (line,) = said
    assert "\n" not in line
    assert re.search(f"^environment {OTHER}: its environment.json cannot be used: .*({why})", line), line
    assert line.endswith(f"Type: invoke env.down --env {OTHER}")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("inventory.json", "{", "its inventory.json: not an inventory"),
        ("inventory.json", '{"version": 99, "environment": "qa", "hosts": {}}', "inventory version 99"),
    ],
)
def test_case_C72_so_is_a_broken_inventory(kept: Path, name: str, text: str, why: str) -> None:
    (kept / OTHER).mkdir()
    (kept / OTHER / "environment.json").write_text(json.dumps(GOOD))
    (kept / OTHER / name).write_text(text)
    assert [line for line in existing.flaws() if why in line and line.startswith(f"environment {OTHER}: ")]
    assert {NAME, OTHER} <= {e.name for e in existing.environments()}


def test_case_C72_and_what_is_no_environment_at_all(kept: Path) -> None:
    (kept / "notes").write_text("a file")
    (kept / "Not One").mkdir()
    (kept / OTHER / "environment.json").mkdir(parents=True)
    assert {"notes", "Not One"}.isdisjoint(e.name for e in existing.environments())
    lines = existing.flaws()
    assert len(lines) == 3
    assert all("\n" not in line for line in lines)
    assert [name for name in ("notes", "Not One", OTHER) if sum(name in line for line in lines) == 1] == [
        "notes",
        "Not One",
        OTHER,
    ]


def test_a_folder_without_environment_files_is_not_an_environment(kept: Path) -> None:
    (home.make("fresh") / "pulumi/state").mkdir(parents=True)
    assert "fresh" not in {e.name for e in existing.environments()}


def test_case_C71_a_draft_of_keys_writes_nothing(kept: Path) -> None:
    home.draft("other", ["ops"])
    assert not (kept / "other").exists()
    before = (kept / NAME / "material.json").read_bytes()
    home.draft(NAME, ["ops", "venue"])
    assert (kept / NAME / "material.json").read_bytes() == before


def test_keys_that_cannot_be_read_are_one_line(kept: Path) -> None:
    (kept / NAME / "material.json").write_text("{")
    with pytest.raises(UsageError, match=rf"material.json: .*Type: invoke env.down --env {NAME}"):
        home.draft(NAME, ["ops"])


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home/envs" / NAME
    home.keep(folder, home.Kept(record=RUNS, material=home.draft(NAME, ["ops"])))
    made = [folder.parent.parent, folder.parent, *folder.parent.rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_case_C76_a_folder_is_cleared_but_for_pulumis_own_state(kept: Path) -> None:
    (kept / NAME / "pulumi").mkdir()
    home.clear(kept / NAME)
    assert [path.name for path in (kept / NAME).iterdir()] == ["pulumi"]
    (kept / NAME / "pulumi").rmdir()
    home.clear(kept / NAME)
    assert not kept.exists()
    home.clear(kept / NAME)
