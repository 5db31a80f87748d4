"""The requirements of a lab, and the message when one is missing: root, namespaces, loop devices, a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stormdesk.infra.backends.lab import layer
from tests.e2e.lab_traces import assert_gone
from tests.e2e.stack_harness import home_for_nobody
from tests.skips import cannot

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]
SET_UP = ". script/lib.sh; set_up"

# In a mount namespace of its own: no loop devices, and the package layer as the archive that is used then.
WITHOUT_LOOPS = r"""
set -eu
layer=$1 cache=$2 name=$3
mkdir "$cache/ext4"
mount -n -o loop,ro "$layer" "$cache/ext4"
archive=$cache/$(basename "$layer" .ext4).tar
cp "$layer.json" "$archive.json"
tar -cf "$archive" --xattrs '--xattrs-include=*' --numeric-owner -C "$cache/ext4" upper
umount "$cache/ext4"
mount --bind /dev/null /dev/loop-control
exec "$4" -c '
import subprocess, sys
from stormdesk.infra import environment, home
name = sys.argv[1]
environment.up(name, "core", "lab", "direct", 60, print)
look = "cat /etc/stormdesk/lab.json; stat -f -c %T /var/lib/trading; psql -h 10.77.2.16 -U trading -Atc \"select 1\" trading"
config = f"{home.home()}/envs/{name}/ssh_config"
subprocess.run(["ssh", "-F", config, "store", look + "; touch /var/lib/trading/kept; reboot -f"], timeout=20)
until = "until ssh -F {0} store cat /proc/sys/kernel/random/boot_id; do sleep 0.2; done 2>/dev/null; ssh -F {0} store ls /var/lib/trading"
subprocess.run(["sh", "-c", until.format(config)], timeout=20)
environment.down(name, print)
' "$name"
"""


def sh(script: str, *wrapper: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in the checkout as if it were script/demo."""
    command = [*wrapper, "sh", "-c", script, "script/demo"]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_without_root_one_line_says_what_to_type() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    user = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    with home_for_nobody() as checkout:  # ours may lie where only root can read
        shutil.copytree(ROOT / "script", checkout / "script")
        done = sh(SET_UP, *user, cwd=checkout)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "script/demo: the lab needs root (namespaces, mounts). Type: sudo script/demo\n"


def test_a_root_without_namespaces_is_told_so(lab_home: str) -> None:
    done = sh(SET_UP, "setpriv", "--bounding-set", "-sys_admin")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("script/demo: this root may make no namespaces")
    assert done.stderr.count("\n") == 1


def test_the_second_run_starts_at_once_and_without_network(lab_home: str) -> None:
    if not (ROOT / ".venv/stamp").exists():
        pytest.skip("this .venv was not made by script/test")
    started = time.monotonic()
    done = sh(SET_UP, "unshare", "--net")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 5


def test_a_missing_layer_without_network_is_one_line(lab_home: str, tmp_path: Path) -> None:
    done = sh(". script/lib.sh; make_layer", "unshare", "--net", STORMDESK_CACHE=str(tmp_path))
    assert done.returncode == 3
    assert re.fullmatch(
        r"package layer is missing: E: .* Is there a network\? Then type: .*\.lab\.layer\n", done.stderr
    )
    assert [p.name for p in tmp_path.glob("layer-*")] == []


def test_up_makes_the_layer_and_where_it_cannot_says_why(lab_home: str, tmp_path: Path) -> None:
    up = "from stormdesk.infra import environment; environment.up('nolayer', 'core', 'lab', 'direct', 60, print)"
    command = ["unshare", "--net", sys.executable, "-c", up]
    environment = os.environ | {"STORMDESK_CACHE": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "RefusedError: package layer is missing: E: " in done.stderr
    assert (
        f"package layer is missing: {len((*layer.PACKAGES, *layer.SYSTEMD))} packages by apt into {tmp_path}/"
        in done.stdout
    )
    assert list(tmp_path.glob("layer-*")) == []
    assert_gone("nolayer", lab_home, 0)


def test_a_cache_that_cannot_be_written_is_one_line(lab_home: str) -> None:
    done = sh(". script/lib.sh; make_layer", STORMDESK_CACHE="/proc/sys")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "Set STORMDESK_CACHE to a folder with 1 GiB free" in done.stderr


def test_without_loop_devices_volumes_are_tmpfs_and_the_host_says_so(lab_home: str, tmp_path: Path) -> None:
    name = f"noloop-{os.getpid()}"
    image = layer.require()
    if image.suffix != ".ext4":
        cannot("it has no loop devices: every test here runs without them")
    command = ["unshare", "--mount", "sh", "-c", WITHOUT_LOOPS, "sh", str(image), str(tmp_path), name, sys.executable]
    environment = os.environ | {"STORMDESK_CACHE": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "no loop devices here: volumes are tmpfs, so fsync on them proves nothing" in lines
    facts = next(json.loads(line) for line in lines if line.startswith("{"))
    assert facts["volume"] == "tmpfs"
    assert lines[lines.index(next(line for line in lines if line.startswith("{"))) + 1] == "tmpfs"
    assert "1" in lines  # PostgreSQL answers
    assert "kept" in lines  # what is on the volume survives a reboot here too
    assert_gone(name, lab_home, 0)
