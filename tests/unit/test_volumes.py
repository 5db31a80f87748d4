"""The name of a file system's lock: the same by whatever mount it is reached."""

from __future__ import annotations

import pytest

from stormdesk.core.model import Completed
from stormdesk.host import probe, volumes

MOUNTS = r"""22 1 0:51 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/var/up,workdir=/w
30 22 7:4 / /var/lib/trading rw,relatime - ext4 /dev/loop4 rw
31 22 7:4 /src /srv/my\040data rw,relatime - ext4 /dev/loop4 rw
32 22 253:3 / /a rw,relatime - xfs /dev/mapper/vg-lv rw
33 22 253:3 / /b rw,relatime - xfs /dev/dm-3 rw
34 22 0:60 /one /one rw,relatime - btrfs /dev/vdb rw,subvol=/one
35 22 0:60 /two /two rw,relatime - btrfs /dev/vdb rw,subvol=/two
36 22 0:71 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/a/upper,workdir=/a/work
37 22 0:72 / /t1 rw - tmpfs tmpfs rw
38 22 0:73 / /t2 rw - tmpfs tmpfs rw
39 22 0:74 / /tank/a rw - zfs tank/a rw
40 22 0:75 / /tank/b rw - zfs tank/b rw
41 30 7:9 / /var/lib/trading rw,relatime - ext4 /dev/loop9 rw
"""


def lock(path: str, kind: str = "ext2/ext3", device: str = "/dev/x") -> str:
    answers = {"type": Completed((), 0, f"{kind}\n"), "mounts": Completed((), 0, MOUNTS)}
    space = probe.space(f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{device} 10 1 9 1% {path}\n", "")
    return volumes.lock(answers, path, space)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/lib/trading", "disk:7:9"),  # the later mount hides the earlier
        ("/var/lib/trading/deep", "disk:7:9"),
        ("/srv/my data", "disk:7:4"),
        ("/a", "disk:253:3"),
        ("/b", "disk:253:3"),
        ("/one", "disk:0:60"),
        ("/two", "disk:0:60"),
        ("/merged/x", "disk:253:3"),
        ("/t1", "disk:0:72"),
        ("/t2", "disk:0:73"),
        ("/var/lib", "disk:0:51"),  # in a container the folders of its overlay are not to be seen
    ],
)
def test_a_lock_names_the_device(path: str, name: str) -> None:
    assert lock(path) == name


def test_data_sets_of_one_pool_share_a_lock() -> None:
    assert lock("/tank/a", "zfs", "tank/a") == lock("/tank/b", "zfs", "tank/b") == "disk:tank"
