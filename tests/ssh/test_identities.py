"""Log-ins with ssh's identities: the agent, several keys, certificates. A real ssh-agent, a real sshd."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core.errors import ConnectFailed, StormdeskError, UsageError
from tests.ssh.server import Server
from tests.unit.test_transport_keys import made

HOST = "sandbox"


class Agent:
    """An ssh-agent of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "agent"
        self.process = subprocess.Popen(["ssh-agent", "-D", "-a", str(self.socket)], stdout=subprocess.DEVNULL)
        while not self.socket.exists():
            assert self.process.poll() is None

    def add(self, path: Path, secret: str = "") -> None:
        asking = path.parent / "asking"
        asking.write_text(f"#!/bin/sh\necho {secret}\n")
        asking.chmod(0o700)
        env = {
            **os.environ,
            "SSH_AUTH_SOCK": str(self.socket),
            "SSH_ASKPASS": str(asking),
            "SSH_ASKPASS_REQUIRE": "force",
        }
        subprocess.run(["ssh-add", "-q", str(path)], env=env, check=True, timeout=20, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("ssh")) as one:
        one.restart("TrustedUserCAKeys /etc/ssh/ca.pub")
        yield one


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    one = Agent(tmp_path)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(one.socket))
    yield one
    one.close()


def authorize(server: Server, path: Path) -> Path:
    public = Path(f"{path}.pub").read_text()
    server.box.sh(f"echo '{public.strip()}' >>/etc/ssh/keys/root")
    return path


def certify(server: Server, path: Path, name: str = "root") -> Path:
    """A certificate for a key, by an authority that sshd trusts; beside it, as ssh-keygen leaves it."""
    authority = made(path.parent / "ca", "ed25519")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", name, f"{path}.pub"], check=True, timeout=10
    )
    server.box.sh(f"echo '{authority.with_suffix('.pub').read_text().strip()}' >/etc/ssh/ca.pub")
    return path.with_name(f"{path.name}-cert.pub")


def logs_in(server: Server, **changes: object) -> None:
    with server.pool(**changes) as pool:
        assert pool.run(HOST, ("echo", "here"), 10).stdout == "here\n"


def refused(server: Server, **changes: object) -> StormdeskError:
    with server.pool(**changes) as pool, pytest.raises(StormdeskError) as caught:
        pool.run(HOST, ("true",), 10)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_case_C53_the_agents_keys_alone(server: Server, agent: Agent, tmp_path: Path, kind: str) -> None:
    agent.add(authorize(server, made(tmp_path / "key", kind)))
    logs_in(server, identity_file="")
    logs_in(server, identity_file="", identity_agent=str(agent.socket))
    logs_in(server, identity_file="", identity_agent="SSH_AUTH_SOCK")
    for changes in ({"identity_agent": "none"}, {"identities_only": True}):
        assert isinstance(refused(server, identity_file="", **changes), UsageError)


@pytest.mark.parametrize("form", ["", "PEM", "PKCS8"])
def test_case_C53_a_locked_key_works_when_the_agent_has_it(
    server: Server, agent: Agent, tmp_path: Path, form: str
) -> None:
    path = authorize(server, made(tmp_path / "key", "rsa", "secret", form))
    assert f"Type: ssh-add {path}" in str(refused(server, identity_file=str(path)))
    agent.add(path, "secret")
    logs_in(server, identity_file=str(path))
    logs_in(server, identity_file=str(path), identities_only=True)
    logs_in(server, identity_file=f"{path}.pub", identities_only=True)  # as with a key on a token


def test_case_C53_the_named_key_comes_before_all_that_the_agent_holds(
    server: Server, agent: Agent, tmp_path: Path
) -> None:
    for number in range(7):
        agent.add(made(tmp_path / f"other{number}", "ed25519"))
    logs_in(server)
    error = refused(server, identity_file=str(made(tmp_path / "wrong", "ed25519")))
    assert re.match(rf"sandbox at \S+ refuses the keys {tmp_path}/wrong, ssh-ed25519 of the ssh-agent", str(error))
    assert isinstance(error, ConnectFailed)


def test_case_C53_several_keys_are_tried_in_order(server: Server, tmp_path: Path) -> None:
    wrong = [made(tmp_path / f"wrong{number}", "ed25519") for number in range(2)]
    locked = made(tmp_path / "locked", "ed25519", "secret")
    logs_in(server, identity_file=str(locked), more_identity_files=(*map(str, wrong), str(server.key)))
    error = refused(server, identity_file=str(wrong[0]), more_identity_files=(str(wrong[1]), str(locked)))
    assert f"refuses the keys {wrong[0]}, {wrong[1]}: Authentication failed; cannot read the SSH key {locked}" in str(
        error
    )


def test_case_C53_a_host_that_limits_tries_is_reported(server: Server, tmp_path: Path) -> None:
    server.restart("MaxAuthTries 2")
    keys = [str(made(tmp_path / f"wrong{number}", "ed25519")) for number in range(4)]
    error = refused(server, identity_file=keys[0], more_identity_files=tuple(keys[1:]))
    server.restart("TrustedUserCAKeys /etc/ssh/ca.pub")
    assert "it hung up" in str(error)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("where", ["beside the key", "named", "key in the agent", "both in the agent"])
def test_case_C53_a_certificate_logs_in(server: Server, agent: Agent, tmp_path: Path, kind: str, where: str) -> None:
    path = made(tmp_path / "key", kind)
    certificate = certify(server, path)
    match where:
        case "beside the key":
            logs_in(server, identity_file=str(path))
        case "named":
            certificate = certificate.rename(tmp_path / "elsewhere")
            logs_in(server, identity_file=str(path), certificate_files=(str(certificate),))
        case "key in the agent":
            certificate = certificate.rename(tmp_path / "elsewhere")
            agent.add(path)
            assert isinstance(refused(server, identity_file=""), ConnectFailed)
            logs_in(server, identity_file="", certificate_files=(str(certificate),))
        case _:
            agent.add(path)  # ssh-add takes the certificate beside it as well
            logs_in(server, identity_file="")


def test_case_C53_an_unusable_certificate_is_one_line(server: Server, tmp_path: Path) -> None:
    path = made(tmp_path / "key", "ed25519")
    certify(server, path, "somebody-else")
    assert f"refuses the keys {path}-cert.pub, {path}" in str(refused(server, identity_file=str(path)))
    (tmp_path / "none").write_text("what")
    error = refused(server, identity_file="", certificate_files=(str(tmp_path / "none"),), identity_agent="none")
    assert str(error).startswith(f"cannot read the SSH certificate {tmp_path}/none")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("AuthenticationMethods publickey,keyboard-interactive", "wants keyboard-interactive"),
        ("PubkeyAuthentication no", "takes .*, and no keys|hung up|Authentication failed"),
        ("DenyUsers root", "Authentication failed"),
    ],
)
def test_case_C53_a_host_that_wants_something_else_says_so(server: Server, line: str, said: str) -> None:
    server.restart(line, "KbdInteractiveAuthentication yes")
    error = refused(server)
    server.restart("TrustedUserCAKeys /etc/ssh/ca.pub")
    assert re.search(said, str(error))


def test_case_C53_an_agent_that_is_gone_does_not_stop_a_key_file(server: Server, tmp_path: Path) -> None:
    logs_in(server, identity_agent=str(tmp_path / "gone"))
    assert "does not answer" in str(refused(server, identity_file="", identity_agent=str(tmp_path / "gone")))
