"""Docker engines for the tests of this folder, and the host image."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.infra.backends.lab import layer
from tests.docker import engines
from tests.docker.engines import Dockerd
from tests.skips import got


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host image without the project, as a file. Skips, with the reason, where no engine runs."""
    if os.geteuid() != 0:
        pytest.skip("an engine of one's own needs root")
    layer.cache().mkdir(parents=True, exist_ok=True)
    with open(layer.cache() / "image.lock", "a") as lock:  # one worker builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        return got(lambda: engines.dependencies(tmp_path_factory.mktemp("build")))


@pytest.fixture(scope="module")
def own_engine(dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    """An engine in a network of its own, with the host image; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("engine")
    with engines.dockerd(folder) as it:
        engines.load(it.engine, dependencies)
        yield it
    shutil.rmtree(folder)
