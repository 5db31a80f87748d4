"""The Pulumi project of the checkout: its settings, other files among environments, and the requirements of the CLI."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from stormdesk.core.errors import UsageError
from stormdesk.infra import environment, existing, home, project
from stormdesk.infra.home import Record

ROOT = Path(__file__).resolve().parents[2]
RUNS = Record(
    name="demo",
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
    assert project.settings(given) == {"backend": "lab", "topology": "core", "ttl": "1h"}
    with pytest.raises(
        UsageError, match=r"no setting 'topologie'. Did you mean topology\? There is: backend, topology, ttl"
    ):
        project.settings({"stormdesk:topologie": "core"})


def test_case_C73_what_runs_keeps_its_time_until_its_ttl_is_another() -> None:
    same = project.wanted("demo", project.SETTINGS, RUNS, running=True)
    assert same == RUNS
    shorter = project.wanted("demo", {**project.SETTINGS, "ttl": "5m"}, RUNS, running=True)
    assert 290 < home.seconds_left(shorter.expires_at) <= 300
    over = project.wanted("demo", project.SETTINGS, RUNS, running=False)
    assert 7190 < home.seconds_left(over.expires_at) <= 7200
    assert home.seconds_left(project.wanted("demo", project.SETTINGS, None, running=False).expires_at) > 7190


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all environments, with a good one, `demo`."""
    monkeypatch.setenv("STORMDESK_HOME", str(tmp_path))
    home.keep(home.directory("demo"), home.Kept(record=RUNS, material=home.draft("demo", ["ops"])))
    return home.envs()


GOOD = json.loads(msgspec.json.encode(RUNS)) | {"name": "qa"}
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
    (kept / "qa").mkdir()
    (kept / "qa/environment.json").write_bytes(text.encode(errors="surrogateescape"))
    said: list[str] = []
    found = {e.name: e.state for e in environment.listing(said.append) if e.state != "elsewhere"}
    assert found == {"demo": "gone", "qa": "gone"}
    (line,) = said
    assert "\n" not in line
    assert re.search(f"^environment qa: its environment.json cannot be used: .*({why})", line), line
    assert line.endswith("Type: invoke env.down --env qa")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("inventory.json", "{", "its inventory.json: not an inventory"),
        ("inventory.json", '{"version": 99, "environment": "qa", "hosts": {}}', "inventory version 99"),
    ],
)
def test_case_C72_so_is_a_broken_inventory(kept: Path, name: str, text: str, why: str) -> None:
    (kept / "qa").mkdir()
    (kept / "qa/environment.json").write_text(json.dumps(GOOD))
    (kept / "qa" / name).write_text(text)
    assert [line for line in existing.flaws() if why in line and line.startswith("environment qa: ")]
    assert {"demo", "qa"} <= {e.name for e in existing.environments()}


def test_case_C72_and_what_is_no_environment_at_all(kept: Path) -> None:
    (kept / "notes").write_text("a file")
    (kept / "Not One").mkdir()
    (kept / "qa/environment.json").mkdir(parents=True)
    assert {"notes", "Not One"}.isdisjoint(e.name for e in existing.environments())
    lines = existing.flaws()
    assert len(lines) == 3
    assert all("\n" not in line for line in lines)
    assert [name for name in ("notes", "Not One", "qa") if sum(name in line for line in lines) == 1] == [
        "notes",
        "Not One",
        "qa",
    ]


def test_a_folder_without_environment_files_is_not_an_environment(kept: Path) -> None:
    (home.make("fresh") / "pulumi/state").mkdir(parents=True)
    assert "fresh" not in {e.name for e in existing.environments()}


def test_case_C71_a_draft_of_keys_writes_nothing(kept: Path) -> None:
    home.draft("other", ["ops"])
    assert not (kept / "other").exists()
    before = (kept / "demo/material.json").read_bytes()
    home.draft("demo", ["ops", "venue"])
    assert (kept / "demo/material.json").read_bytes() == before


def test_keys_that_cannot_be_read_are_one_line(kept: Path) -> None:
    (kept / "demo/material.json").write_text("{")
    with pytest.raises(UsageError, match=r"material.json: .*Type: invoke env.down --env demo"):
        home.draft("demo", ["ops"])


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home/envs/demo"
    home.keep(folder, home.Kept(record=RUNS, material=home.draft("demo", ["ops"])))
    made = [folder.parent.parent, folder.parent, *folder.parent.rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_case_C76_a_folder_is_cleared_but_for_pulumis_own_state(kept: Path) -> None:
    (kept / "demo/pulumi").mkdir()
    home.clear(kept / "demo")
    assert [path.name for path in (kept / "demo").iterdir()] == ["pulumi"]
    (kept / "demo/pulumi").rmdir()
    home.clear(kept / "demo")
    assert not kept.exists()
    home.clear(kept / "demo")
