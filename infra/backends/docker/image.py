"""The host image, built from infra/images/Dockerfile, and a base for it where no registry is reachable.

python -m stormdesk.infra.backends.docker.image               on debian:bookworm-slim
python -m stormdesk.infra.backends.docker.image --bootstrap   on a base built by debootstrap (needs root)
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from stormdesk.core.errors import RefusedError
from stormdesk.infra import making
from stormdesk.infra.backends.docker import engine as engines
from stormdesk.infra.backends.docker.engine import BUILD_S, Engine
from stormdesk.infra.backends.lab import layer
from stormdesk.infra.making import Say

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE, PROJECT = ROOT / "infra/images/Dockerfile", ROOT / "infra/images/project.Dockerfile"
LOCK = ROOT / "requirements.lock"
BASE, SUITE, PYTHON = "debian:bookworm-slim", "bookworm", "3.11"  # that release's Python, for which wheels are chosen
BUILT_BASE = "stormdesk-base:bookworm"
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux1")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}

COMMAND = "python -m stormdesk.infra.backends.docker.image"


def key(base: str) -> str:
    """A digest of an image's packages and dependencies."""
    return _hash([DOCKERFILE.read_bytes(), LOCK.read_bytes(), _packages(), layer.FINISH.encode(), base.encode()])


def tag(base: str) -> str:
    """The image's name, derived from all of its contents."""
    return f"stormdesk-host:{_hash([key(base).encode(), PROJECT.read_bytes(), *_sources()])}"


def dependencies(base: str) -> str:
    """The name of the lower image, which does not depend on the project's own source."""
    return f"stormdesk-dependencies:{key(base)}"


def ensure(engine: Engine, say: Say) -> str:
    """The image that matches the current project. If only the project's source has changed, it is rebuilt, without a network.

    RefusedError: the packages are missing or have changed too; it says how to build the image.
    """
    for base in (BASE, BUILT_BASE):
        if _there(engine, tag(base)):
            return tag(base)
    for base in (BASE, BUILT_BASE):
        if _there(engine, dependencies(base)):
            return build(engine, base, say)
    raise RefusedError(f"this engine does not have the host image ({tag(BASE)}). Type: {COMMAND}")


def build(engine: Engine, base: str, say: Say, *, network: str = "default") -> str:
    """Build the image unless it exists; returns its name. `network` is the Docker network that apt uses in the build.

    HostError: a step failed, with the engine's message. RefusedError: this is not a checkout of the project.
    """
    if _there(engine, tag(base)):
        return tag(base)
    if not LOCK.exists():
        raise RefusedError(
            f"the image is built in a checkout of the project, and {ROOT} is not one. Use one, or --backend lab"
        )
    say(f"image {tag(base)}: building on {base}")
    with tempfile.TemporaryDirectory(prefix="stormdesk-image-") as folder:
        _context(Path(folder))
        if not _there(engine, dependencies(base)):
            _wheels(Path(folder), engine.run("info", "--format", "{{.Architecture}}").strip())
            _step(engine, folder, "Dockerfile", base, dependencies(base), network)
        _step(engine, folder, "project.Dockerfile", dependencies(base), tag(base), network)
    return tag(base)


def bootstrap(engine: Engine, debootstrap: Sequence[str], say: Say) -> str:
    """Build a base image with debootstrap from this machine's own Debian mirror; returns its name.

    `debootstrap` is the command to run. RefusedError has its last output line when it fails.
    """
    if _there(engine, BUILT_BASE):
        return BUILT_BASE
    if shutil.which(debootstrap[0]) is None:
        raise RefusedError(f"no {debootstrap[0]} here. Type: apt-get install debootstrap")
    site = mirror()
    say(f"base image {BUILT_BASE}: {SUITE} by debootstrap")
    with tempfile.TemporaryDirectory(prefix="stormdesk-base-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as out:
            command = (*debootstrap, "--variant=minbase", SUITE, f"{folder}/root", site)
            done = subprocess.run(command, check=False, stdout=out, stderr=out, timeout=BUILD_S)
        if done.returncode != 0:
            raise RefusedError(f"debootstrap: {log.read_text(errors='replace').strip().splitlines()[-1]}")
        for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(f"{folder}/root/{name}")
        tar = subprocess.Popen(("tar", "-C", f"{folder}/root", "-c", "."), stdout=subprocess.PIPE)
        with tar.stdout or tempfile.TemporaryFile() as archive:
            command = (engine.command, "image", "import", "-", BUILT_BASE)
            subprocess.run(command, check=True, stdin=archive, env=dict(engine.environ), timeout=BUILD_S)
        tar.wait(10.0)
    return BUILT_BASE


def _there(engine: Engine, name: str) -> bool:
    return bool(engine.run("image", "ls", "--quiet", name).strip())


def _step(engine: Engine, folder: str, file: str, base: str, name: str, network: str) -> None:
    words = ("build", "--quiet", "--network", network, "--build-arg", f"BASE={base}", "--file", f"{folder}/{file}")
    engine.run(*words, "--tag", name, folder, seconds=BUILD_S)


def _context(folder: Path) -> None:
    """Everything that the Dockerfile copies except the dependencies' wheels."""
    for file in (DOCKERFILE, PROJECT, LOCK):
        shutil.copy(file, folder)
    (folder / "packages").write_bytes(_packages())
    (folder / "finish.sh").write_text(layer.FINISH)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", f"{folder}/project", str(ROOT))


def _wheels(folder: Path, machine: str) -> None:
    """Download the dependencies as wheels for the image's Python, each verified by its hash."""
    kind = MACHINES.get(machine, machine)
    target = [word for name in PLATFORMS for word in ("--platform", f"{name}_{kind}")]
    target += ["--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:"]
    _pip("download", "--no-deps", "--require-hashes", *target, "-r", str(LOCK), "--dest", f"{folder}/wheels")


def _pip(*words: str) -> None:
    command = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=BUILD_S)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no output"]
        raise RefusedError(f"pip {words[0]}: {said[-1]}. Is there a network?")


def mirror() -> str:
    """The mirror that this machine's Debian packages come from."""
    words = (
        "apt-get",
        "indextargets",
        "--format",
        "$(SITE) $(REPO_URI) $(ORIGIN) $(COMPONENT)",
        "Created-By: Packages",
    )
    try:
        listed = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        raise RefusedError("building a base image needs apt. Use a Debian machine") from error
    found = [uri for _, uri, origin, part in (line.split() for line in listed) if origin == "Debian" and part == "main"]
    if not found:
        raise RefusedError(
            "this machine's packages do not come from Debian, so it cannot build a base image. Use a registry, or Debian"
        )
    return found[0]


def _packages() -> bytes:
    return "\n".join((*layer.PACKAGES, "")).encode()


def _sources() -> Iterator[bytes]:
    """The project's files as its wheel has them, with their names."""
    package = ROOT / "stormdesk"
    rooms = (package, *(p.resolve() for p in package.iterdir() if p.is_symlink()))
    for path in sorted(p for room in rooms for p in room.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        yield str(path.relative_to(ROOT)).encode() + b"\0"
        yield path.read_bytes()


def _hash(parts: list[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def _make(say: Say) -> None:
    engine = engines.find()
    base = bootstrap(engine, ("debootstrap",), say) if sys.argv[1:] == ["--bootstrap"] else BASE
    say(f"image: {build(engine, base, say)}")


if __name__ == "__main__":
    sys.exit(making.run(_make))
