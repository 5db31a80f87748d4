"""The lab across package upgrades of the machine: real dpkg runs on a private copy, an overlay in a mount namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stormdesk.infra import packages
from stormdesk.infra.backends.lab import layer
from tests.e2e.lab_traces import assert_gone

pytestmark = pytest.mark.lab
Copy = Callable[..., subprocess.CompletedProcess[str]]

# The copy sees this machine's devices and processes; what is written to its disk is gone with the namespace.
IN_A_COPY = """
set -eu
spot=$1 cache=$2 script=$3
mount -n -t tmpfs tmpfs "$spot"
mkdir "$spot/upper" "$spot/work" "$spot/root"
mount -n -t overlay -o "lowerdir=/,upperdir=$spot/upper,workdir=$spot/work" overlay "$spot/root"
for shared in /dev /proc /sys "$cache"; do mount -n --rbind "$shared" "$spot/root$shared"; done
mount -n -t tmpfs tmpfs "$spot/root/run"
exec chroot "$spot/root" sh -euc "$script"
"""
LOOK = 'cd "$HERE"; "$PYTHON" -c "from stormdesk.infra.backends.lab import layer; print(layer.require())"'
UP = """
cd "$HERE"; "$PYTHON" -c '
import sys
from stormdesk.core.errors import RefusedError
from stormdesk.infra import environment
try:
    environment.up(sys.argv[1], "core", "lab", "direct", 120, print)
except RefusedError as error:
    print("refused:", error)
else:
    environment.down(sys.argv[1], print)
' "$NAME"
"""


def deb(folder: Path, name: str, version: str, *, architecture: str = "all", postinst: str = "", **fields: str) -> str:
    """A package with one file of its own; the path of its archive."""
    root = folder / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/share" / f"of-{name}").mkdir(parents=True)
    said = {"Package": name, "Version": version, "Architecture": architecture, "Maintainer": "a test <t@example.org>"}
    said |= {"Description": "nothing", **{key.replace("_", "-"): value for key, value in fields.items()}}
    (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in said.items()))
    if postinst:
        (root / "DEBIAN/postinst").write_text(f"#!/bin/sh\n{postinst}\n")
        (root / "DEBIAN/postinst").chmod(0o755)
    path = folder / f"{name}-{version}.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--nocheck", str(root), str(path)], check=True, capture_output=True, timeout=30
    )
    return str(path)


@pytest.fixture
def copy(lab_home: str, tmp_path: Path) -> Copy:
    """Run a shell script in a copy of this machine, by default without a network."""
    spot = tmp_path / "spot"
    spot.mkdir()

    def run(
        script: str, *, cache: Path | None = None, network: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        cache = cache or layer.cache()
        spaces = ["--mount", "--propagation", "private", *([] if network else ["--net"])]
        known = {
            "HERE": os.getcwd(),
            "PYTHON": sys.executable,
            "STORMDESK_CACHE": str(cache),
            "DEBIAN_FRONTEND": "noninteractive",
        }
        return subprocess.run(
            ["unshare", *spaces, "sh", "-c", IN_A_COPY, "sh", str(spot), str(cache), script],
            env=os.environ | known | variables, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip

    return run


def here(name: str) -> packages.Package:
    return packages.installed(Path(layer.DPKG_STATUS).read_text())[name]


def test_case_C55_other_packages_leave_the_layer_as_it_is(copy: Copy, tmp_path: Path) -> None:
    """Installed, upgraded, half-configured, removed, purged, marked and held: the layer still fits, and a lab comes up."""
    one, two = deb(tmp_path, "sd-unrelated", "1"), deb(tmp_path, "sd-unrelated", "2")
    half = deb(tmp_path, "sd-half", "1", postinst="exit 1")
    rival = deb(tmp_path, "sd-rival", "1", Provides="debconf-2.0, libssl3", Depends="libc6")
    steps = [
        "true",
        f"dpkg -i {one}",
        f"dpkg -i {two}",
        f"dpkg -i {half} || true; dpkg-query -Wf '${{Status}}' sd-half | grep -q half-configured",
        f"dpkg -i {rival}",
        "apt-mark hold zlib1g; apt-mark auto dpkg; apt-mark manual zlib1g",
        "dpkg -r sd-unrelated",
        "dpkg -P sd-unrelated sd-half",
        "useradd --system sd-somebody; ldconfig; touch /var/lib/dpkg/status",
    ]
    script = "\n".join(f"{{ {step}; }} >&2\n{LOOK}" for step in steps) + UP
    name = f"other-{os.getpid()}"
    done = copy(script, NAME=name)
    lines = done.stdout.splitlines()
    assert lines[: len(steps)] == [str(layer.require())] * len(steps), done.stdout + done.stderr
    assert lines[-1] == f"environment {name}: down", done.stdout + done.stderr
    assert "package layer" not in done.stdout
    assert_gone(name, str(Path(os.environ["STORMDESK_HOME"])), 0)


@pytest.mark.parametrize("kind", ["upgrade", "removal", "another version of what the layer has"])
def test_case_C55_a_package_that_is_needed_is_named(copy: Copy, tmp_path: Path, kind: str) -> None:
    old = here("netbase").version
    of_layer = deb(tmp_path, "busybox", "9:9", architecture=here("dpkg").architecture)
    step, why = {
        "upgrade": (f"dpkg -i {deb(tmp_path, 'netbase', '99')}", f"netbase {old} -> 99"),
        "removal": ("dpkg -r --force-depends netbase", f"netbase {old} -> absent"),
        "another version of what the layer has": (f"dpkg -i {of_layer}", " -> 9:9"),
    }[kind]
    name = f"need-{os.getpid()}"
    done = copy(f"{{ {step}; }} >&2\n{UP}", NAME=name)
    assert "refused: package layer must be rebuilt: " in done.stdout, done.stdout + done.stderr
    assert why in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"Is there a network? Then type: {layer.MAKE}")
    assert layer.require().exists()  # the machine itself is as it was


def test_case_C55_up_makes_the_layer_again_and_says_why(copy: Copy, tmp_path: Path) -> None:
    """Nothing but the copy uses this cache: the image of the machine is replaced there by one of the copy."""
    cache = tmp_path / "cache"
    cache.mkdir()
    image = layer.require()
    for path in (image, image.with_name(f"{image.name}.json")):
        subprocess.run(["cp", "--sparse=always", str(path), str(cache)], check=True, timeout=60)
    name = f"again-{os.getpid()}"
    old = here("netbase").version
    install = f"dpkg -i {deb(tmp_path, 'netbase', '99')} >&2"
    done = copy(f"{install}\n{UP}\n{LOOK}", cache=cache, network=True, NAME=name)
    shutil.rmtree(cache)
    lines = done.stdout.splitlines()
    if "Is there a network?" in lines[-1]:
        pytest.skip(lines[-1])
    said = [line for line in lines if line.startswith("package layer")]
    why = f"package layer must be rebuilt: netbase {old} -> 99: {len((*layer.PACKAGES, *layer.SYSTEMD))} packages by apt into {cache}/"
    assert [said[0].startswith(why), said[1].startswith("package layer: ready, ")] == [True, True], (
        done.stdout + done.stderr
    )
    assert lines[-2:] == [f"environment {name}: down", f"{cache}/{image.name}"]
