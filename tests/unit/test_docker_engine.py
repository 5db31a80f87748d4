"""Without a Docker engine, one line says what to type; if one fails, its own message is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormdesk.core.errors import ExitCode, HostError, RefusedError
from stormdesk.infra import stacks
from stormdesk.infra.backends.docker import backend, image
from stormdesk.infra.backends.docker import engine as engines
from stormdesk.infra.backends.docker.engine import Engine
from stormdesk.infra.home import Record


def client(folder: Path, text: str) -> Engine:
    """An engine whose client is a script."""
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Engine(command=str(path), environ={"PATH": "/usr/bin:/bin"})


def test_without_docker_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="Install Docker, or use: --backend lab") as refused:
        engines.find()
    assert refused.value.exit_code is ExitCode.REFUSED
    client(tmp_path, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(RefusedError, match=r"Cannot connect to the Docker daemon.*Start it"):
        engines.find()


def test_a_stack_with_kafka_is_refused_before_anything_is_looked_for() -> None:
    record = Record(
        name="x",
        owner="me",
        backend="docker",
        engine="pulumi",
        topology="full",
        ttl_s=60.0,
        expires_at="2026-01-01T00:00:00Z",
    )
    with pytest.raises(
        RefusedError, match=r"containers have no Kafka, which full needs\. Use --backend lab, or --topology core"
    ):
        backend.prepare(record, stacks.full(stacks.Credentials(api_key="", api_secret="")), print)


def test_a_failure_has_the_engines_own_message(tmp_path: Path) -> None:
    engine = client(tmp_path, "echo first >&2; echo 'Error: no space left' >&2; exit 125")
    with pytest.raises(HostError, match=r"^docker network create: Error: no space left$"):
        engine.run("network", "create", "x")
    with pytest.raises(HostError, match="no answer within 0 s"):
        client(tmp_path, "sleep 5").run("info", seconds=0.2)


def test_a_missing_image_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=rf"Type: {image.COMMAND}$"):
        image.ensure(client(tmp_path, "true"), print)


def test_case_C55_an_image_is_built_again_when_only_the_project_has_changed(tmp_path: Path) -> None:
    known = f"{image.dependencies(image.BUILT_BASE)}"
    log = tmp_path / "log"
    said: list[str] = []
    engine = client(tmp_path, f'case "$*" in "image ls --quiet {known}") echo id ;; build*) echo "$*" >>{log} ;; esac')
    assert image.ensure(engine, said.append) == image.tag(image.BUILT_BASE)
    assert said == [f"image {image.tag(image.BUILT_BASE)}: building on {image.BUILT_BASE}"]
    (built,) = log.read_text().splitlines()  # its packages are there: no apt, no network
    assert "project.Dockerfile" in built
    assert f"BASE={known}" in built


def test_subnets_that_the_engine_uses_are_left_alone(tmp_path: Path) -> None:
    used = '[{"Config": [{"Subnet": "10.77.0.0/24"}, {"Subnet": "10.79.2.0/24"}, {"Subnet": "fd78:0:0:1::/64"}]}]'
    engine = client(tmp_path, f"case $2 in ls) echo one two ;; inspect) echo '{used}' ;; esac")
    assert engines.free_net(engine) == 80
    every = "".join(f'{{"Subnet": "10.{net}.0.0/24"}},' for net in range(10, 100))
    with pytest.raises(RefusedError, match=r"env\.reap"):
        engines.free_net(client(tmp_path, f"case $2 in ls) echo one ;; inspect) echo '[{every}{{}}]' ;; esac"))


@pytest.mark.parametrize("said", ["warning: no swap", "{", "\\377", "[1"])
def test_case_C54_an_engine_that_does_not_answer_in_json_is_one_line(tmp_path: Path, said: str) -> None:
    with pytest.raises(HostError, match="docker version --format: expected JSON, got: ") as caught:
        client(tmp_path, f"printf '{said}\\n'").json("version", "--format", "json")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("said", "found"), [("", None), ("null", None), ("[]", []), ('{"a": 1}', {"a": 1})])
def test_an_answer_in_json(tmp_path: Path, said: str, found: object) -> None:
    assert client(tmp_path, f"printf '%s' '{said}'").json("version") == found
