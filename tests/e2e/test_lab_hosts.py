"""The hosts of a running lab: their properties, their network, what they survive, and their isolation."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import stormdesk
from stormdesk.cli.commands import exported, one_host
from stormdesk.cli.options import Options
from stormdesk.core.errors import ConnectFailed, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.infra import access, ca, dialing, existing, home
from stormdesk.infra.backends.lab import cgroup
from stormdesk.infra.status import HostStatus
from tests.skips import CANNOT

pytestmark = pytest.mark.lab
Run = Callable[[str, str], subprocess.CompletedProcess[str]]


@pytest.fixture
def inventory(lab: str) -> Inventory:
    return existing.load(lab)


@pytest.fixture
def run(lab: str) -> Run:
    """Run a command on a host by the plain ssh client with the exported configuration."""
    config = f"{home.home()}/envs/{lab}/ssh_config"

    def run(host: str, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", "-F", config, host, command], capture_output=True, text=True, timeout=30, check=False
        )

    return run


def eventually(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def state(lab: str, host: str) -> HostStatus:
    return next(h for h in existing.status(existing.load(lab)) if h.name == host)


def test_plain_ssh_reaches_every_host_and_the_services_run(lab: str, inventory: Inventory, run: Run) -> None:
    assert set(inventory.hosts) == {"venue", "feed", "trader-a", "trader-b", "ops", "store"}
    for name in inventory.hosts:
        done = run(name, "hostname; id -u; cat /etc/stormdesk.target")
        hostname, uid, marker = done.stdout.splitlines()
        assert (hostname, uid) == (name, "0"), done
        assert json.loads(marker) == {"environment": lab, "ephemeral": True, "expires_at": inventory.expires_at}
    eventually(
        lambda: all(all(h.services.values()) and h.ssh for h in existing.status(existing.load(lab))),
        20,
        "all services listen",
    )


def test_the_venue_speaks_tls_by_its_name_with_a_certificate_of_the_environments_authority(lab: str, run: Run) -> None:
    authority = Path(home.home(), "envs", lab, "ca", "ca.pem").read_text()
    ask = (
        "import ssl, sys, urllib.request\n"
        "tls = ssl.create_default_context(cadata=sys.argv[1])\n"
        "print(urllib.request.urlopen('https://api.venue.internal:8443/api/v3/ping', timeout=10, context=tls).read())"
    )
    done = run("trader-a", f"python3 -c {shlex.quote(ask)} {shlex.quote(authority)}")
    assert done.stdout == "b'{}'\n", done
    stranger = run("trader-a", f"python3 -c {shlex.quote(ask)} {shlex.quote(ca.make().certificate)}")
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.stderr


def test_a_wrong_host_key_is_refused(lab: str, run: Run, tmp_path: Path) -> None:
    config = Path(home.home(), "envs", lab, "ssh_config").read_text()
    known = Path(home.home(), "envs", lab, "known_hosts")
    lines = known.read_text().splitlines()
    keys = [line.split()[2] for line in lines]
    (tmp_path / "known").write_text("\n".join(line.replace(keys[i], keys[i - 1]) for i, line in enumerate(lines)))
    (tmp_path / "config").write_text(config.replace(str(known), str(tmp_path / "known")))
    done = subprocess.run(
        ["ssh", "-F", str(tmp_path / "config"), "venue", "true"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_addresses_routes_and_names_are_those_of_the_inventory(inventory: Inventory, run: Run) -> None:
    for host in inventory.hosts.values():
        shown = {link["ifname"]: link for link in json.loads(run(host.name, "ip -j addr").stdout)}
        for link in host.networks.values():
            have = {f"{a['local']}/{a['prefixlen']}" for a in shown[link.interface]["addr_info"]}
            assert {link.address, link.address6} <= have
    for network, target in ("market", "venue"), ("core", "store"):
        for version in "-4", "-6":
            assert run("trader-a", f"ping {version} -c 1 -W 2 {target}.{network}").returncode == 0
    assert "via 10.77.2.16" in run("trader-b", "ip route show 10.88.0.0/16").stdout
    assert "via fd77:0:0:2::16" in run("trader-b", "ip -6 route show fd88::/64").stdout
    assert run("venue", "ping -c 1 -W 1 10.77.2.16").returncode != 0  # the venue is not on core


def test_the_volume_is_a_file_system_of_its_own_and_of_its_size(run: Run) -> None:
    for host, mib in ("trader-a", 256), ("store", 512):
        kind, size = run(host, "stat -f -c %T /var/lib/trading; df --output=size -BM /var/lib/trading").stdout.split()[
            ::2
        ]
        assert kind == "ext2/ext3"
        assert mib * 0.8 < int(size.rstrip("M")) <= mib


def test_redis_and_postgresql_serve_the_core_network_and_come_back_after_a_kill(run: Run) -> None:
    query = "psql -h {} -U trading -tc 'select 1' trading"
    reach = "python3 -c 'import socket; socket.create_connection((\"10.77.2.16\", {}), 3)'"
    for port in 6379, 5432:
        assert run("trader-a", reach.format(port)).returncode == 0
    for address in "10.77.2.16", "127.0.0.1":
        assert run("store", query.format(address)).stdout.strip() == "1"
    assert run("store", query.format("10.77.0.16")).returncode != 0  # not on the management network
    look = "redis-cli info server | grep process_id; psql -U trading -Atc 'select pg_postmaster_start_time()' trading"
    before = run("store", look).stdout.splitlines()
    run("store", "pkill -KILL -x redis-server; pkill -KILL -x postgres")

    def back() -> bool:
        """Both answer, and neither is the process that it was."""
        now = run("store", look).stdout.splitlines()
        return len(now) == len(before) and not set(now) & set(before)

    assert len(before) == 2
    eventually(back, 20, "redis and postgres are back")


def test_trading_services_run_as_trading(run: Run) -> None:
    eventually(
        lambda: run("trader-b", "pgrep -u 800 -f stormdesk.testnet.trader").returncode == 0, 10, "the trader runs"
    )
    assert (
        run("trader-b", "stat -c %U /var/lib/trading/trader /var/log/trading /run/trading").stdout.split()
        == ["trading"] * 3
    )


@pytest.mark.parametrize(
    "command",
    [
        "date -s 2020-01-01",
        "mknod /tmp/disk b 7 0",
        "echo b >/proc/sysrq-trigger && test ! -c /proc/sysrq-trigger",
        "sysctl -w kernel.panic=1",
        "echo 1 >/sys/kernel/uevent_seqnum",
        "dmesg",
        "losetup -f",
        "unshare --mount sh -c 'mount -o remount,rw /sys/kernel'",
    ],
)
def test_what_would_reach_the_machine_is_refused(run: Run, command: str) -> None:
    assert run("trader-b", command).returncode != 0


def test_a_host_sees_programs_but_nothing_else_of_the_machine(run: Run, lab_home: str) -> None:
    secret = Path("/root/.stormdesk-test-secret")
    secret.write_text("machine")
    try:
        assert run("ops", f"cat {secret}").returncode != 0
        for path in (lab_home, "/etc/machine-id", "/var/cache/stormdesk", "/root/.ssh", "/var/lib/dpkg/../apt"):
            assert run("ops", f"ls -A {path}").stdout == "", path
        project = Path(stormdesk.__file__).parent.parent
        assert set(run("ops", f"ls -A {project}").stdout.split()) <= {".venv", "stormdesk", "testnet"}
        hashes = run("ops", "cut -d: -f2 /etc/shadow").stdout.split()
        assert hashes
        assert {h for h in hashes if h not in {"*", "!*", "!"}} == set()
    finally:
        secret.unlink()


def test_the_machine_sees_nothing_of_the_lab(lab: str) -> None:
    assert f"stormdesk/{lab}" not in Path("/proc/self/mountinfo").read_text()
    assert subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout == ""
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^(mgmt|market|core|p\d+\.\d+\.\d+)\b", links, re.MULTILINE)


@pytest.mark.skipif(cgroup.version() == "none", reason=f"{CANNOT}it gives no cgroups")
def test_memory_and_processes_of_a_host_are_limited(run: Run) -> None:
    hog = run("ops", "python3 -c 'x = b\"1\" * (1500 << 20)'; echo $?")
    assert hog.stdout.strip() == "137", hog
    forks = "python3 -c '\nimport os, time\nfor i in range(600):\n  if os.fork() == 0: time.sleep(30)\n'; echo $?; pkill -f time.sleep"
    done = run("ops", forks)
    assert "Resource temporarily unavailable" in done.stderr
    eventually(lambda: run("ops", "true").returncode == 0, 5, "ssh answers again")


def test_a_host_comes_back_after_all_its_processes_are_killed(lab: str, run: Run) -> None:
    boots = state(lab, "trader-b").boots
    run("trader-b", "kill -9 -1")
    eventually(lambda: run("trader-b", "true").returncode == 0, 5, "sshd is respawned")
    eventually(
        lambda: "RUNNING" in run("trader-b", "supervisorctl status trader").stdout, 5, "supervisord is respawned"
    )
    assert state(lab, "trader-b").boots == boots


def test_a_reboot_is_a_real_reboot(lab: str, run: Run) -> None:
    """Disks survive, /run does not; the boot has an identity of its own; the boot hook runs; addresses are back."""
    look = "cat /proc/sys/kernel/random/boot_id; ls /run/volatile /root/kept /var/lib/trading/kept /var/lib/stormdesk/hooked"
    hook = "printf '#!/bin/sh\\ntouch /var/lib/stormdesk/hooked\\n' >/etc/stormdesk/boot; chmod 755 /etc/stormdesk/boot"
    before = state(lab, "trader-b").boots
    old_id = run("trader-b", "cat /proc/sys/kernel/random/boot_id").stdout
    assert run("trader-b", f"touch /run/volatile /root/kept /var/lib/trading/kept; {hook}; sync").returncode == 0
    run("trader-b", "reboot -f")
    eventually(lambda: state(lab, "trader-b").boots == before + 1 and state(lab, "trader-b").ssh, 10, "it is up again")
    eventually(lambda: "hooked" in run("trader-b", look).stdout, 5, "the boot hook ran")
    new_id, *files = run("trader-b", look).stdout.split()
    assert new_id != old_id.strip()
    assert files == ["/root/kept", "/var/lib/stormdesk/hooked", "/var/lib/trading/kept"]
    assert run("trader-b", "ping -c 1 -W 2 store.core").returncode == 0
    eventually(lambda: all(state(lab, "trader-b").services.values()), 15, "its services listen")
    run("trader-b", "rm -f /etc/stormdesk/boot /root/kept /var/lib/trading/kept /var/lib/stormdesk/hooked")


def test_sockets_are_made_inside_and_this_process_stays_outside(lab: str, inventory: Inventory) -> None:
    network = os.readlink("/proc/self/ns/net")
    dial = dialing.dialer(inventory)
    for host in inventory.hosts.values():
        with dial(host, 3.0) as connection:
            assert connection.recv(4) == b"SSH-"
    assert os.readlink("/proc/self/ns/net") == network
    with pytest.raises(ConnectFailed, match="venue"):
        dial(msgspec.structs.replace(inventory.hosts["venue"], port=9), 3.0)


def test_any_proxy_command_that_passes_a_socket_works(lab: str, inventory: Inventory) -> None:
    renamed = msgspec.structs.replace(inventory, environment="not-a-lab")
    with dialing.dialer(renamed)(inventory.hosts["ops"], 5.0) as connection:
        assert connection.recv(4) == b"SSH-"
    broken = msgspec.structs.replace(inventory.hosts["ops"], proxy_command="echo no such jump host >&2; false")
    with pytest.raises(ConnectFailed, match="no such jump host"):
        dialing.dialer(renamed)(broken, 5.0)


def test_without_a_proxy_command_it_is_plain_tcp(inventory: Inventory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = msgspec.structs.replace(
            inventory.hosts["ops"], proxy_command="", address="127.0.0.1", port=server.getsockname()[1]
        )
        with dialing.dialer(inventory)(host, 2.0) as connection:
            assert connection.getpeername() == server.getsockname()


def test_exports(lab: str, inventory: Inventory) -> None:
    assert json.loads(exported(Options(lab), "json"))["environment"] == lab
    ansible = json.loads(exported(Options(lab), "ansible"))
    assert set(ansible["all"]["children"]["trader"]["hosts"]) == {"trader-a", "trader-b"}
    assert exported(Options(lab), "ssh-config") == Path(home.home(), "envs", lab, "ssh_config").read_text()
    with pytest.raises(UsageError, match="ssh-config, ansible, json"):
        exported(Options(lab), "toml")


def test_which_environment_is_selected(lab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORMDESK_ENV", raising=False)
    assert existing.load(None).environment == lab
    monkeypatch.setenv("STORMDESK_ENV", "nowhere")
    with pytest.raises(UsageError, match="no environment 'nowhere'"):
        existing.load(None)


def test_execute_gives_the_exit_code(lab: str) -> None:
    assert access.execute(home.directory(lab), "venue", "exit 7") == 7
    with pytest.raises(UsageError, match="Did you mean: venue"):
        one_host(Options(lab), "venu")


def test_keys_and_state_are_for_root_alone(lab: str) -> None:
    directory = Path(home.home(), "envs", lab)
    assert directory.stat().st_mode & 0o777 == 0o700
    modes = {p.name: p.stat().st_mode & 0o777 for p in directory.iterdir() if p.is_file()}
    assert {modes[f] for f in ("id_ed25519", "inventory.json", "ssh_config", "known_hosts")} == {0o600}
    assert Path("/run/stormdesk", lab, "control").stat().st_mode & 0o777 == 0o600
