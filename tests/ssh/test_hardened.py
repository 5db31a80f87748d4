"""sshd as in hardening guides, and log-ins of all kinds: it works, or one line says what the host must allow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core.errors import StormdeskError
from stormdesk.ssh import handshake, parallel
from stormdesk.ssh.pool import Pool
from tests.skips import cannot
from tests.ssh.server import Server
from tests.ssh.test_identities import authorize
from tests.unit.test_transport_keys import made

HOST = "sandbox"
ETM = "MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com"
SUDO = "trading ALL=(ALL) NOPASSWD: ALL"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("ssh")) as one:
        one.box.sh("ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key; cp /etc/passwd /etc/passwd.usual")
        yield one


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stormdesk.ssh.pool.CONNECT_TIMEOUT_S", 8.0)


def works(server: Server, **changes: object) -> None:
    with server.pool(**changes) as pool:
        done = pool.run(HOST, ("sh", "-c", "id -u; echo err >&2; exit 3"), 10)
        assert (done.code, done.stdout, done.stderr) == (3, "0\n", "err\n")


def refused(server: Server, **changes: object) -> str:
    with server.pool(**changes) as pool, pytest.raises(StormdeskError) as caught:
        pool.run(HOST, ("true",), 10)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("sandbox")
    return str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["MACs hmac-sha2-256-etm@openssh.com", "Ciphers aes256-ctr"],
        ["MACs hmac-sha2-512-etm@openssh.com", "Ciphers aes128-ctr,aes192-ctr"],
        ["Ciphers aes192-ctr"],
        ["Ciphers aes256-gcm@openssh.com", ETM],
        ["Ciphers aes128-gcm@openssh.com"],
        ["KexAlgorithms curve25519-sha256"],
        ["KexAlgorithms curve25519-sha256@libssh.org"],
        ["KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256"],
        ["KexAlgorithms diffie-hellman-group18-sha512,diffie-hellman-group16-sha512"],
        ["KexAlgorithms ecdh-sha2-nistp521"],
        ["KexAlgorithms ecdh-sha2-nistp384"],
        ["PubkeyAcceptedAlgorithms ssh-ed25519"],
        ["MaxSessions 1", "MaxAuthTries 1"],
        ["MaxSessions 2", "RekeyLimit 16K"],
        ["PermitTTY no", "AllowTcpForwarding no", "AllowAgentForwarding no", "X11Forwarding no", "PermitUserRC no"],
        ["Banner /etc/passwd", "PrintMotd yes", "PrintLastLog yes"],
        ["AuthenticationMethods publickey", "UsePAM yes"],
        ["Compression no", "ClientAliveInterval 1", "LoginGraceTime 20", "DisableForwarding yes"],
        ["ForceCommand sh"],
        ["ForceCommand exec bash --login"],
    ],
    ids=lambda lines: lines[0].replace(" ", "="),
)
def test_hardened_sshd_works(server: Server, lines: list[str]) -> None:
    server.restart(*lines)
    works(server)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("allowed", ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256"])
def test_hardened_sshd_shows_one_kind_of_host_key(server: Server, kind: str, allowed: str) -> None:
    server.restart(f"HostKeyAlgorithms {allowed}", "HostKey /etc/ssh/ssh_host_ecdsa_key")
    if kind in allowed:
        works(server, kind=kind)
    else:
        assert "Name one that it shows as host_key in the inventory" in refused(server, kind=kind)


def test_hardened_sshd_accepts_one_kind_of_key(server: Server, tmp_path: Path) -> None:
    server.restart("PubkeyAcceptedAlgorithms rsa-sha2-512")
    assert "refuses the key" in refused(server)
    works(server, identity_file=str(authorize(server, made(tmp_path / "key", "rsa"))))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Ciphers chacha20-poly1305@openssh.com"], r"must allow aes256-gcm@openssh.com or aes256-ctr \(Ciphers\)$"),
        (["KexAlgorithms sntrup761x25519-sha512@openssh.com"], r"must allow curve25519-sha256, .*\(KexAlgorithms\)$"),
        (["KexAlgorithms diffie-hellman-group18-sha512"], r"must allow curve25519-sha256, .*\(KexAlgorithms\)$"),
        (["MACs umac-128-etm@openssh.com"], r"must allow hmac-sha2-256-etm@openssh.com .*\(MACs\)$"),
        (["MaxSessions 0"], r"MaxSessions 1 or more$"),
        (["ForceCommand cat"], r"It is not sh that runs for root: take ForceCommand"),
        (["ForceCommand tee /tmp/tee >&2"], r"It is not sh that runs for root"),
        (
            ["ForceCommand echo 'Menu: 1) logs 2) quit'"],
            r"it said 'Menu: 1\) logs 2\) quit' and ended with 0\. It is not sh",
        ),
        (
            ["ForceCommand echo 'Please login as the user \"ubuntu\"'; sleep 1; exit 142"],
            r"'Please login as .*ended with 142",
        ),
        (["ForceCommand internal-sftp"], r"root may transfer files alone|It is not sh"),
        (["ForceCommand /usr/sbin/nologin"], r"root may not log in\. On the host: usermod"),
        (["ForceCommand /bin/false"], r"it said nothing and ended with 1\. It is not sh"),
        (["ForceCommand echo wait; sleep 60"], r"it said 'wait'\. It is not sh"),
        (["ForceCommand sleep 60"], r"no shell within 8 s\. .*--patience 2$"),
    ],
    ids=lambda value: value[0].replace(" ", "=")[:40] if isinstance(value, list) else "",
)
def test_hardened_sshd_that_cannot_work_is_reported_in_one_line(server: Server, lines: list[str], said: str) -> None:
    server.restart(*lines)
    assert re.search(said, refused(server))


def test_hardened_sshd_without_strict_key_exchange_is_refused_with_encrypt_then_mac_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an sshd from before Terrapin: here it is our side that does not offer it."""
    made_by = handshake.Transport.__init__

    def lax(self: handshake.Transport, sock: object) -> None:
        made_by(self, sock, strict_kex=False)  # type: ignore[arg-type]

    monkeypatch.setattr(handshake.Transport, "__init__", lax)
    server.restart(ETM, "Ciphers aes256-ctr")
    assert "Terrapin" in refused(server)
    server.restart(ETM)
    works(server)
    server.restart("Ciphers aes256-ctr")
    works(server)


def test_hardened_sshd_with_few_connections_at_once_is_waited_for(server: Server) -> None:
    server.restart("MaxStartups 1:100:1")
    hosts = {f"h{n}": server.host(name=f"h{n}") for n in range(4)}
    inventory = type(server.inventory())(version=1, environment="sandbox", hosts=hosts)
    with Pool(inventory, server.dial) as pool:
        found = parallel.each(hosts, lambda name: pool.run(name, ("echo", name), 10).stdout)
    assert found == {name: f"{name}\n" for name in hosts}


@pytest.mark.parametrize(
    ("shell", "files"),
    [
        (
            "/bin/bash",
            {".bashrc": "echo hello; echo warn >&2; set -o noclobber -e -u -v; alias sh=false; export TMOUT=1"},
        ),
        ("/bin/bash", {".bashrc": "printf 'no end of line'; export CDPATH=/ SHELLOPTS"}),
        ("/bin/bash", {".bashrc": "sleep 2; stty -echo 2>/dev/null; mesg n; tput clear"}),
        ("/bin/bash", {".bashrc": "trap 'echo bye' EXIT"}),
        ("/bin/sh", {".profile": "echo profile"}),
        ("/bin/rbash", {".bashrc": "echo restricted"}),
        ("/usr/bin/tcsh", {".cshrc": "echo hello from csh"}),
        ("/usr/bin/fish", {".config/fish/config.fish": "echo hello from fish"}),
        ("/tmp/ash", {".profile": "echo profile"}),
    ],
    ids=["noise", "half-a-line", "slow", "trap", "sh", "rbash", "tcsh", "fish", "ash"],
)
def test_hardened_sshd_login_shells(server: Server, shell: str, files: dict[str, str]) -> None:
    if shell.startswith("/usr/bin") and not server.box.script(f"[ -x {shell} ]").ok:
        cannot(f"the package layer has no {shell}")
    server.restart("PrintMotd yes")
    server.box.sh(
        "[ -e /tmp/ash ] || { printf '#!/bin/sh\\nexec busybox ash \"$@\"\\n' >/tmp/ash; chmod 755 /tmp/ash; }"
    )
    server.box.sh(f"usermod -s {shell} root; echo 'Unauthorized use is forbidden' >/etc/motd")
    for name, text in files.items():
        server.box.sh(f"mkdir -p $(dirname /root/{name}); cat >/root/{name} <<'END'\n{text}\nEND")
    works(server)
    server.box.sh(f"cp /etc/passwd.usual /etc/passwd; cd /root; rm {' '.join(files)}")


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false", "/bin/cat"])
def test_hardened_sshd_an_invalid_login_shell_is_one_line(server: Server, shell: str) -> None:
    server.restart()
    server.box.sh(f"usermod -s {shell} root")
    said = refused(server)
    server.box.sh("cp /etc/passwd.usual /etc/passwd")
    assert re.search("usermod --shell|It is not sh", said)


@pytest.mark.parametrize(
    ("sudoers", "said"),
    [
        (SUDO, ""),
        (f"Defaults use_pty\n{SUDO}", ""),
        (f"Defaults lecture=always\nDefaults log_output\n{SUDO}", ""),
        (f"Defaults secure_path=/usr/bin\n{SUDO}", ""),
        (f"Defaults requiretty\n{SUDO}", r"in sudoers on the host: Defaults:trading !requiretty"),
        (
            "Defaults lecture=always\ntrading ALL=(ALL) ALL",
            r"in sudoers on the host: trading ALL=\(ALL\) NOPASSWD: ALL",
        ),
        ("trading ALL=(ALL) NOPASSWD: /usr/bin/id", r"NOPASSWD: ALL"),
        ("# nobody", r"NOPASSWD: ALL"),
    ],
)
def test_hardened_sshd_sudo(server: Server, sudoers: str, said: str) -> None:
    server.restart()
    server.box.sh(f"cat >/etc/sudoers.d/trading <<'END'\n{sudoers}\nEND")
    if said:
        assert re.search(said, refused(server, user="trading"))
    else:
        works(server, user="trading")


@pytest.mark.parametrize(
    ("change", "said"),
    [("chage -d 0 trading", r"The password of trading is too old"), ("chage -E 0 trading", r"expired|hung up|refuses")],
)
def test_hardened_sshd_an_account_that_has_expired_is_one_line(server: Server, change: str, said: str) -> None:
    server.restart("UsePAM yes")
    server.box.sh(f"cp /etc/shadow /tmp/shadow; {change}; echo '{SUDO}' >/etc/sudoers.d/trading")
    found = refused(server, user="trading")
    server.box.sh("cp /tmp/shadow /etc/shadow")
    assert re.search(said, found)
