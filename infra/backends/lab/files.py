"""The files of one host: sshd, host names, init with supervisord (systemd.py has systemd's), and its services. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stormdesk.infra.backends.lab import kafka, systemd
from stormdesk.infra.backends.lab.spec import MARKER, Content, DirectorySpec, FileSpec, ServiceSpec
from stormdesk.infra.topology import Host, Init, Kind, Service, Topology

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POSTGRES_TEMPLATE = "/usr/share/stormdesk/postgres"

# sshd is not below supervisord: stopping the services must never stop SSH.
INITTAB = """\
::once:/etc/stormdesk/boot
::respawn:/usr/sbin/sshd -D -e
"""
SUPERVISORD_CONF = "/etc/supervisor/supervisord.conf"
SUPERVISED = f"::respawn:/usr/bin/supervisord -n -c {SUPERVISORD_CONF}\n"

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
UseDNS no
MaxStartups 200:30:400
MaxSessions 200
LoginGraceTime 20
PrintMotd no
PrintLastLog no
X11Forwarding no
LogLevel ERROR
PidFile /run/sshd.pid
SetEnv PATH={path} LANG=C.UTF-8
Subsystem sftp internal-sftp
"""

# Where one service restarts another, its user may call supervisord: to start and stop programs that root configured. That
# is little more than it can do with signals, since all of them run as that user. Elsewhere only root may.
SOCKET_OF_ROOT, SOCKET_OF_TRADING = "chmod=0700", "chmod=0770\nchown=root:trading"
SUPERVISORD = """\
[unix_http_server]
file=/run/supervisor.sock
{socket}
[supervisord]
nodaemon=true
silent=true
user=root
pidfile=/run/supervisord.pid
logfile=/var/log/supervisor/supervisord.log
logfile_maxbytes=2MB
logfile_backups=1
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/supervisor.sock
[include]
files=/etc/supervisor/conf.d/*.conf
"""

# startsecs=0: a service that exits at once is restarted a second later, without limit, instead of entering FATAL. Services
# that a guard restarts stay stopped.
PROGRAM = """\
[program:{name}]
command={command}
user={user}
directory=/
umask=022
environment=PATH="{path}",LANG="C.UTF-8",HOME="{data_dir}",USER="{user}",PYTHONDONTWRITEBYTECODE="1"
autostart=true
autorestart={autorestart}
startsecs=0
stopwaitsecs=5
stopsignal={stop}
killasgroup=true
stopasgroup=false
redirect_stderr=true
stdout_logfile=/var/log/trading/{name}.log
stdout_logfile_maxbytes=4MB
stdout_logfile_backups=1
"""

RUN = {Kind.REDIS: "/run/redis", Kind.POSTGRES: "/run/postgresql", Kind.KAFKA: "/run/kafka"}

# After a power cut the end of the file may be zeros, and Redis refuses it. What was synced comes before them, and stays.
REDIS_START = """\
#!/bin/sh
set -u
for manifest in "$1"/appendonlydir/*.manifest; do
  [ ! -f "$manifest" ] || echo y | /usr/bin/redis-check-aof --fix "$manifest"
done
exec /usr/bin/redis-server /etc/trading/redis.conf
"""

# PG_VERSION is moved last: an interrupted copy starts over. A cluster that was made long ago is on its disk: this one, too, soon.
POSTGRES_START = f"""\
#!/bin/sh
set -eu
data=$1
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data/new"
  cp -a {POSTGRES_TEMPLATE} "$data/new"
  rm "$data/new/postgresql.conf" "$data/new/pg_hba.conf"
  find "$data/new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$data" {{}} +
  mv "$data/new/PG_VERSION" "$data/"
  rmdir "$data/new"
  sync -f "$data" &
fi
exec "$bin/postgres" -D "$data" -c config_file=/etc/trading/postgresql.conf
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all hosts' files in one lab share. `facts` describe the lab to the engine (docs/formats/inventory.md)."""

    environment: str
    expires_at: str
    python: str
    authorized_key: str
    host_keys: Mapping[str, str]
    facts: Mapping[str, Mapping[str, object]]


def content(topology: Topology, host: Host, site: Site) -> Content:
    """All files and directories of one host and its services."""
    by_systemd = host.init is Init.SYSTEMD
    services = [_service(s, site.python, by_systemd=by_systemd) for s in topology.services_on(host.name)]
    marker = {"environment": site.environment, "ephemeral": True, "expires_at": site.expires_at}
    files = [
        FileSpec(path="/etc/hostname", text=host.name + "\n"),
        FileSpec(path="/etc/hosts", text=_hosts(topology)),
        FileSpec(path="/etc/resolv.conf", text=""),
        FileSpec(path="/etc/ssh/sshd_config", text=SSHD.format(path=PATH, pam="yes" if by_systemd else "no")),
        FileSpec(path="/etc/ssh/authorized_keys", text=site.authorized_key + "\n"),
        FileSpec(path="/etc/ssh/ssh_host_ed25519_key", text=site.host_keys[host.name], mode=0o600),
        FileSpec(path=MARKER, text=json.dumps(marker) + "\n"),
        FileSpec(path="/etc/stormdesk/lab.json", text=json.dumps(site.facts[host.name]) + "\n"),
    ]
    directories = [
        DirectorySpec(path="/run/sshd"),
        DirectorySpec(path="/run/lock", mode=0o1777),
        DirectorySpec(path="/run/trading", owner="trading"),
        DirectorySpec(path="/var/lib/stormdesk", mode=0o700),
        DirectorySpec(path="/var/log/trading", owner="trading"),
        DirectorySpec(path="/var/lib/trading", owner="trading"),
    ]
    if by_systemd:
        files += systemd.of_host(host, site.environment, topology.services_on(host.name))
        directories += systemd.directories()
    else:
        files += _of_busybox(topology.services_on(host.name))
        directories += [DirectorySpec(path="/etc/supervisor/conf.d"), DirectorySpec(path="/var/log/supervisor")]
    return Content(files=files, directories=directories, services=services)


def _of_busybox(services: Sequence[Service]) -> Sequence[FileSpec]:
    """inittab, with supervisord if there is a service. `reboot` is busybox's: the machine's own calls systemd, which does not run."""
    files = [FileSpec(path="/etc/inittab", text=INITTAB + (SUPERVISED if services else ""))]
    files += [FileSpec(path=f"/usr/sbin/{name}", to="/bin/busybox") for name in ("reboot", "poweroff", "halt")]
    if services:
        restarts = any(service.restarted_by for service in services)
        socket = SOCKET_OF_TRADING if restarts else SOCKET_OF_ROOT
        files.append(FileSpec(path=SUPERVISORD_CONF, text=SUPERVISORD.format(socket=socket)))
    return files


def command(service: Service, python: str) -> Sequence[str]:
    """The argv that starts a service."""
    match service.kind:
        case Kind.TESTNET:
            config = f"/etc/trading/{service.name}.json"
            return (python, "-P", "-m", f"stormdesk.testnet.{service.name}", "--config", config)
        case Kind.REDIS:
            return ("/bin/sh", "/etc/trading/redis.sh", service.config["data_dir"])
        case Kind.POSTGRES:
            return ("/bin/sh", "/etc/trading/postgres.sh", service.config["data_dir"])
        case Kind.KAFKA:
            return ("/bin/sh", "/etc/trading/kafka.sh", service.config["data_dir"], service.pidfile)


def _hosts(topology: Topology) -> str:
    """/etc/hosts: `venue` is the address on the controller's network, `venue.market` the one on that network."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    controlled = {n.name for n in topology.networks if n.controlled}
    for host in topology.hosts:
        for place in sorted(host.placements, key=lambda p: p.network not in controlled):
            names = f"{host.name}.{place.network}" + (f" {host.name}" if place.network in controlled else "")
            names = " ".join([names, *place.aliases])
            lines += [f"{a.partition('/')[0]} {names}" for a in (place.address, place.address6)]
    return "\n".join(lines) + "\n"


def _service(service: Service, python: str, *, by_systemd: bool) -> ServiceSpec:
    argv = command(service, python)
    managed = systemd.unit(service, argv, PATH) if by_systemd else [_program(service, argv)]
    return ServiceSpec(
        name=service.name, files=[*managed, *_configuration(service)], directories=_directories(service)
    )


def _program(service: Service, argv: Sequence[str]) -> FileSpec:
    """A service as a supervisord program."""
    text = PROGRAM.format(
        name=service.name,
        command=" ".join(argv),
        user=service.user,
        path=PATH,
        data_dir=service.config["data_dir"],
        autorestart="false" if service.restarted_by else "true",
        stop="INT" if service.kind is Kind.POSTGRES else "TERM",
    )
    return FileSpec(path=f"/etc/supervisor/conf.d/{service.name}.conf", text=text)


def _directories(service: Service) -> Sequence[DirectorySpec]:
    private = service.kind is Kind.POSTGRES
    made = [DirectorySpec(path=service.config["data_dir"], owner=service.user, mode=0o700 if private else 0o755)]
    if service.kind is not Kind.TESTNET:
        made += [DirectorySpec(path=RUN[service.kind], owner=service.user)]
    return made


def _configuration(service: Service) -> Sequence[FileSpec]:
    match service.kind:
        case Kind.TESTNET:
            path = f"/etc/trading/{service.name}.json"
            return [
                FileSpec(path=path, text=json.dumps(service.config, indent=1) + "\n", mode=0o600, owner=service.user)
            ]
        case Kind.REDIS:
            return [
                FileSpec(path="/etc/trading/redis.sh", text=REDIS_START),
                FileSpec(path="/etc/trading/redis.conf", text=_redis(service)),
            ]
        case Kind.POSTGRES:
            return [
                FileSpec(path="/etc/trading/postgres.sh", text=POSTGRES_START),
                FileSpec(path="/etc/trading/postgresql.conf", text=_postgres(service)),
                FileSpec(path="/etc/trading/pg_hba.conf", text=_hba(service)),
            ]
        case Kind.KAFKA:
            return [
                FileSpec(path="/etc/trading/kafka.sh", text=kafka.START),
                FileSpec(path="/etc/trading/kafka.properties", text=kafka.properties(service)),
                FileSpec(path="/etc/trading/kafka-log4j.properties", text=kafka.LOG4J),
            ]


def _redis(service: Service) -> str:
    return f"""\
bind {" ".join(service.config["listen"])}
port {service.ports["redis"]}
protected-mode no
daemonize no
dir {service.config["data_dir"]}
pidfile {service.pidfile}
appendonly yes
save ""
maxmemory 128mb
"""


def _postgres(service: Service) -> str:
    return f"""\
hba_file = '/etc/trading/pg_hba.conf'
listen_addresses = '{",".join(service.config["listen"])}'
port = {service.ports["postgres"]}
unix_socket_directories = '/run/postgresql'
shared_buffers = 32MB
max_connections = 50
min_wal_size = 16MB
max_wal_size = 64MB
timezone = 'UTC'
"""


def _hba(service: Service) -> str:
    database = service.config["database"]
    networks = [*service.config["trust"], "127.0.0.1/32"]
    lines = ["local all postgres peer", f"local {database} {database} trust"]
    return "\n".join([*lines, *(f"host {database} {database} {network} trust" for network in networks)]) + "\n"
