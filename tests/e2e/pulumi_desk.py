"""A Pulumi user at a checkout: the real CLI, a folder for its state, and a language host of the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stormdesk.infra import home
from stormdesk.infra.home import Record
from stormdesk.infra.pulumi_cli import Engine
from tests.e2e import language_host
from tests.support import zygote

ROOT = Path(__file__).resolve().parents[2]
NOT_OF_A_CLONE = {".git", ".venv", ".stormdesk", "runs"}
DEADLINE_S = 300
ALL = 2 + 3 + 6 + 6 + 11  # resources: stack, lab, networks, volumes, hosts, services


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it said."""

    code: int
    text: str


class Desk:
    """`pulumi` and `invoke` as somebody types them in a clone with a .venv. Environments are where STORMDESK_HOME says."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.clone, tools, own = (folder / name for name in ("clone", "bin", "home"))
        for path in (self.clone, tools, own, folder / "state"):
            path.mkdir()
        for path in ROOT.iterdir():
            if path.name not in NOT_OF_A_CLONE and not path.match("Pulumi.*.yaml"):
                (self.clone / path.name).symlink_to(path)
        (self.clone / ".venv").symlink_to(sys.prefix)
        shutil.copy(engine.path, tools / "pulumi")  # it looks for the language host beside itself first
        language_host.install(tools)
        self.environ = {
            **os.environ,
            "HOME": str(own),
            "PULUMI_HOME": str(own / ".pulumi"),
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PULUMI_CONFIG_PASSPHRASE": "of the tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_COLOR": "1",
            "GOGC": "400",  # a command is short: more memory, less of a processor
        }
        for name in [name for name in self.environ if name.startswith("PULUMI_RUNTIME")]:
            del self.environ[name]
        assert self.pulumi("login", f"file://{folder}/state").code == 0

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`pulumi WORDS`, started."""
        return subprocess.Popen(
            ["pulumi", "--non-interactive", *words],
            cwd=self.clone, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def pulumi(self, *words: str) -> Done:
        """`pulumi WORDS`, to its end."""
        child = self.start(*words)
        text, _ = child.communicate(timeout=DEADLINE_S)
        return Done(child.returncode, text)

    def done(self, *words: str) -> str:
        """What `pulumi WORDS` says, which must end well."""
        ended = self.pulumi(*words)
        assert ended.code == 0, ended.text
        return ended.text

    def up(self) -> str:
        """`pulumi up`, without the preview, which has a test of its own."""
        return self.done("up", "--yes", "--skip-preview", "--suppress-outputs")

    def changes(self) -> Mapping[str, int]:
        """What the next `pulumi up` would do, by kind."""
        said = self.done("preview", "--json")
        found: Mapping[str, int] = json.loads(said[said.index("{") :])["changeSummary"]
        return found

    def outputs(self) -> Any:
        """The stack's outputs."""
        return json.loads(self.done("stack", "output", "--json"))

    def invoke(self, *words: str) -> Done:
        """`invoke WORDS`."""
        ended = zygote.run(*words, within_s=DEADLINE_S)
        return Done(ended.returncode, ended.stdout + ended.stderr)


def photo(folder: str | Path) -> Mapping[str, tuple[int, bytes]]:
    """Every file below a folder but volumes and logs: when it was written, and what is in it."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and path.suffix not in (".ext4", ".log")]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def say(_: str) -> None:
    """These tests look at what is there, not at what is said."""


def record_of(name: str) -> Record:
    found = home.read_record(name)
    assert found is not None
    return found


def listed(desk: Desk) -> dict[str, dict[str, str]]:
    """The environments by `env.list --json`."""
    ended = desk.invoke("env.list", "--json")
    assert ended.code == 0, ended.text
    document = next(line for line in ended.text.splitlines() if line.startswith('{"environments"'))
    return {row["name"]: row for row in json.loads(document)["environments"]}
