"""A lab host seen from the machine: its state, whether a fault is active, and bystanders that no fault may touch.

Nothing here is the engine's: the kernel is asked through /proc and with `ip` and iptables-save in the host's namespaces.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDS = ("run/stormdesk", "dev/shm/stormdesk", "var/lib/stormdesk", "etc/stormdesk/boot")
SPACE_MIB = 16  # the stack goes on writing
HASHED = ("etc/hosts", "etc/resolv.conf", "etc/passwd", "etc/bystander", "var/lib/trading/bystander", "run/bystander")
LISTED = ("etc", "run", "tmp", "var/lib", "var/lib/trading")
COMMAND_S = 60.0

# Tables that iptables leaves behind, empty, once anybody asked for them are no difference: they let everything pass.
_NETWORK = """
tidy='/^#/d; s/\\[[0-9]*:[0-9]*\\]//; /^[*]/d; /^COMMIT/d; /^:[A-Z]* ACCEPT/d; /^$/d
/^table ip6* [a-z]* {$/d; /^}$/d; /^.chain [A-Z]* {$/d; /^.}$/d; /type .* hook .* policy accept;$/d'
for question in "link show" "addr show" "-4 route show table all" "-6 route show table all" "-4 rule show" "-6 rule show"; do
  echo "@ip $question"; ip -j $question
done
echo "@text tc"; tc qdisc show; tc filter show
for tool in iptables-save ip6tables-save "nft list ruleset"; do echo "@text $tool"; $tool | sed "$tidy"; done
echo "@text sysctl"; grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf | grep -v stable_secret | sort
"""
_PLANT = """
set -e
number=${ADDRESS##*.}
for link in $LINKS; do
  name=${link%=*} net=${link#*=}
  ip addr add "10.77.$net.$((number + 200))/24" dev "$name"
  ip -6 addr add "fd77:0:0:$net::b:$number/64" dev "$name" nodad
  ip route add "198.51.10$net.0/24" via "10.77.$net.1" dev "$name" metric 77
  ip route add "203.0.11$net.0/24" dev "$name" table 77
  ip -6 route add "fd99:$net::/48" via "fd77:0:0:$net::1" dev "$name" metric 77
done
ip rule add from 192.0.2.7 table 77 pref 7700
ip -6 rule add from fd99::7 table 77 pref 7700
for tables in iptables ip6tables; do
  $tables -w 5 -N BYSTANDER
  $tables -w 5 -A BYSTANDER -p tcp --dport 9 -m comment --comment "of somebody else" -j DROP
  $tables -w 5 -A INPUT -p tcp --dport 9 -j BYSTANDER
done
for folder in /etc/bystander /var/lib/trading/bystander /run/bystander; do
  mkdir "$folder"
  : >"$folder/empty"
  echo "of somebody else" >"$folder/.hidden"
  head -c 300000 /dev/urandom >"$folder/large"
  ln -s large "$folder/link"
  chmod 640 "$folder/large"
done
"""


@dataclass(frozen=True)
class Picture:
    """A host at one moment. `facts` must be as before, but for free space; `leftovers` are records and processes of ours."""

    facts: frozenset[str]
    free_mib: Mapping[str, float]
    leftovers: tuple[str, ...]

    def difference(self, now: Picture) -> list[str]:
        """What is not the same now: `- line` gone, `+ line` new."""
        found = [f"- {fact}" for fact in sorted(self.facts - now.facts)] + [
            f"+ {f}" for f in sorted(now.facts - self.facts)
        ]
        for path, free in now.free_mib.items():
            if abs(free - self.free_mib[path]) > SPACE_MIB:
                found.append(f"{path} has {free:.1f} MiB free, not {self.free_mib[path]:.1f}")
        return found


@dataclass
class LabHost:
    """One host of a running lab. `pid` is its init, as the machine counts."""

    name: str
    pid: int
    namespace: str = field(init=False)

    def __post_init__(self) -> None:
        self.namespace = os.readlink(f"/proc/{self.pid}/ns/pid")

    def path(self, inside: str) -> Path:
        """A file of the host, reached from the machine."""
        return Path(f"/proc/{self.pid}/root", inside.lstrip("/"))

    def sh(self, text: str, **variables: str) -> str:
        """Run shell text in the host's namespaces; a failure raises, and says which text."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **variables}
        command = ["nsenter", "-t", str(self.pid), "-a", "sh"]
        done = subprocess.run(
            command, input=text, env=env, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert done.returncode == 0, f"{self.name}: {text.strip()[-300:]}: {done.returncode} {done.stderr}"
        return done.stdout

    def plant(self, address: str, links: Mapping[str, int]) -> None:
        """Put down what belongs to somebody else: addresses, routes, rules, netfilter chains, files. `links`: interface to network."""
        self.sh(_PLANT, ADDRESS=address, LINKS=" ".join(f"{name}={net}" for name, net in links.items()))

    def processes(self) -> Iterator[tuple[int, str, str, int]]:
        """Each process: pid as the machine counts, command line, state, parent."""
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/pid") == self.namespace:
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
                    line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    yield pid, line.strip(), fields[0], int(fields[1])

    def services(self) -> dict[int, str]:
        """The processes that supervisord started: pid and command line."""
        everyone = list(self.processes())
        managers = {pid for pid, line, _, _ in everyone if "supervisord" in line}
        return {pid: line for pid, line, state, parent in everyone if parent in managers and state != "Z"}

    def picture(self) -> Picture:
        """The host as it is now."""
        facts = [*self._network(), *self._files(), *self._mounts()]
        facts += [f"service {line}" for line in self.services().values()]
        facts += [f"stopped {line}" for _, line, state, _ in self.processes() if state == "T"]
        return Picture(
            frozenset(facts), {"/var/lib/trading": self.free_mib("/var/lib/trading")}, tuple(self._leftovers())
        )

    def free_mib(self, path: str) -> float:
        """What a user without privileges can still write."""
        space = os.statvfs(self.path(path))
        return space.f_bavail * space.f_frsize / 2**20

    def _network(self) -> Iterator[str]:
        for part in self.sh(_NETWORK).split("@")[1:]:
            title, _, text = part.partition("\n")
            lines = text.splitlines()
            if title.startswith("ip "):
                lines = [
                    json.dumps(_plain(item), sort_keys=True) for item in json.loads(text or "[]") if not _derived(item)
                ]
            yield from (f"{title}: {line}" for line in lines if line.strip())

    def _files(self) -> Iterator[str]:
        for folder in LISTED:
            for entry in os.scandir(self.path(folder)):
                if (folder, entry.name) == ("run", "mount"):  # mount makes it the first time that it is run
                    continue
                if f"{folder}/{entry.name}" not in (*RECORDS, "etc/stormdesk"):
                    known = entry.stat(follow_symlinks=False)
                    yield f"entry {folder}/{entry.name} {stat.filemode(known.st_mode)} {known.st_uid} {known.st_gid}"
        for name in HASHED:
            path = self.path(name)
            if not path.exists():
                yield f"file {name} none"
            for file in sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []:
                known = file.lstat()
                content = os.readlink(file) if file.is_symlink() else hashlib.sha256(file.read_bytes()).hexdigest()
                inside = str(file).partition("/root/")[2]
                yield f"file {inside} {known.st_mode:o} {known.st_uid} {known.st_gid} {known.st_ino} {known.st_mtime_ns} {content}"

    def _mounts(self) -> Iterator[str]:
        for line in Path(f"/proc/{self.pid}/mounts").read_text().splitlines():
            yield f"mount {line}"

    def _leftovers(self) -> Iterator[str]:
        for name in RECORDS:
            path = self.path(name)
            if path.is_dir():
                kept_out = [file.parent for file in path.glob("*/fenced") if not (file.parent / "record").exists()]
                files = [file for file in sorted(path.rglob("*")) if not {file, file.parent} & {*kept_out}]
                yield from (f"record {name}/{file.relative_to(path)}" for file in files)
                if kept_out and not files:
                    continue  # it keeps a late arming out, and goes by itself
            if path.exists():
                yield f"record {name}"
        for _, line, _, _ in self.processes():
            if "stormdesk/r-" in line:
                yield f"process {line}"


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the kernel counts or settles by itself."""
    moving = ("valid_life_time", "preferred_life_time", "tentative", "expires", "stats", "stats64", "cache")
    kept = {key: value for key, value in item.items() if key not in moving}
    if "addr_info" in kept:
        kept["addr_info"] = [json.dumps(_plain(address), sort_keys=True) for address in kept["addr_info"]]
        kept["addr_info"].sort()
    return kept


def _derived(item: Mapping[str, Any]) -> bool:
    """A local IPv6 route: the kernel makes it some time after the address."""
    return item.get("type") == "local" and item.get("table") == "local" and ":" in str(item.get("dst", ""))


def hosts_of(lab: int) -> Sequence[LabHost]:
    """The hosts of the lab whose init is `lab`."""
    found = []
    for thread in Path(f"/proc/{lab}/task").iterdir():
        for child in (thread / "children").read_text().split():
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{child}/root/etc/hostname").read_text().strip()
                found.append(LabHost(name, int(child)))
    return sorted(found, key=lambda host: host.name)


def connections(lab: int, controller: int, address: str) -> list[int]:
    """Local ports of the SSH connections that process `controller` has to `address` in the lab's network."""
    sockets = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{controller}/fd"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(f"/proc/{controller}/fd/{descriptor}"))
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + ":0016"
    rows = [line.split() for line in Path(f"/proc/{lab}/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[2] == wanted and f"socket:[{row[9]}]" in sockets]


def session_of(host: LabHost, ports: Sequence[int]) -> int:
    """The sshd process on the host that serves one of these client ports; -1 if there is none."""
    wanted = {str(port) for port in ports}
    for pid, _, _, parent in host.processes():
        with contextlib.suppress(OSError):
            for variable in Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0"):
                name, _, value = variable.partition("=")
                if name == "SSH_CONNECTION" and value.split()[1] in wanted:
                    with contextlib.suppress(OSError):
                        if "sshd" in Path(f"/proc/{parent}/cmdline").read_text():
                            return parent
    return -1
