"""The contract of a transport, against a real sshd: exit codes, streams, deadlines, lost links, keys, round trips.

A new transport runs these tests too: they speak to `Pool` only, but where they count bytes on the wire.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import paramiko.pipe
import pytest

from stormdesk.core.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HostKeyMismatch,
    TransportError,
    UsageError,
)
from stormdesk.ssh import transport as ssh
from stormdesk.ssh.open_shell import Shell
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.read_once import ReadOnce
from tests.ssh.server import Server

HOST = "sandbox"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("ssh")) as one:
        yield one


@pytest.fixture
def pool(server: Server) -> Iterator[Pool]:
    with server.pool() as one:
        one.run(HOST, ("true",), 10)  # warm
        yield one


def sh(pool: Pool, text: str, deadline_s: float = 20) -> tuple[int, str, str]:
    done = pool.run(HOST, ("sh", "-c", text), deadline_s)
    return done.code, done.stdout, done.stderr


# ---- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 77, 126, 255])
def test_exit_codes_arrive(pool: Pool, code: int) -> None:
    assert sh(pool, f"exit {code}")[0] == code


def test_a_command_ended_by_a_signal_is_not_a_success(pool: Pool) -> None:
    assert sh(pool, "kill -KILL $$")[0] == 128 + 9


def test_a_command_that_does_not_exist_is_127_and_the_shell_goes_on(pool: Pool) -> None:
    assert pool.run(HOST, ("no-such-command",), 5).code == 127
    assert pool.run(HOST, ("true",), 5).code == 0


@pytest.mark.parametrize("text", ["", "a", "a\n", "\n", "\n\n", "a\nb", " a ", "é\n", "stormdesk-0 0\n", "x" * 200])
def test_output_arrives_to_the_last_byte_on_both_streams(pool: Pool, text: str) -> None:
    done = pool.run(HOST, ("sh", "-c", 'printf %s "$1"; printf %s "$1" >&2', "sh", text), 5)
    assert (done.stdout, done.stderr) == (text, text)


def test_binary_output_arrives_with_its_bad_bytes_replaced(pool: Pool) -> None:
    code, out, _ = sh(pool, "printf '\\000\\001\\377\\376\\r\\n\\033[31m'; exit 3")
    assert (code, out) == (3, "\0\1\ufffd\ufffd\r\n\x1b[31m")


def test_eight_megabytes_on_stderr_do_not_stop_a_command(pool: Pool) -> None:
    """A channel's window is 2 MiB: who drains stdout first and stderr then waits for ever."""
    code, out, err = sh(pool, f"head -c {8 * MIB} /dev/zero | tr '\\0' e >&2; echo done", 60)
    assert (code, out, len(err)) == (0, "done\n", 8 * MIB)


def test_both_streams_are_drained_together(pool: Pool) -> None:
    code, out, err = sh(pool, f"head -c {4 * MIB} /dev/zero & head -c {4 * MIB} /dev/zero >&2; wait", 60)
    assert (code, len(out), len(err)) == (0, 4 * MIB, 4 * MIB)


def test_an_answer_is_seen_even_if_its_wake_up_is_lost(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paramiko.pipe.OrPipe, "set", lambda _: None)
    assert pool.run(HOST, ("echo", "here"), 3).stdout == "here\n"


def test_a_command_has_no_stdin_to_eat_the_next_script_from(pool: Pool) -> None:
    assert pool.run(HOST, ("cat",), 5).stdout == ""
    assert pool.run(HOST, ("echo", "next"), 5).stdout == "next\n"


def test_many_threads_get_their_own_answers(pool: Pool) -> None:
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = pool.run(HOST, ("echo", str(number)), 20).stdout

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: f"{number}\n" for number in range(24)}


# ---- deadlines and lost links ----------------------------------------------------------------------------------------


def test_a_deadline_is_kept_and_the_shell_is_not_used_again(pool: Pool, server: Server) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"sandbox: no answer within 0\.5 s"):
        pool.run(HOST, ("sleep", "20"), 0.5)
    assert time.monotonic() - began < 2
    before = len(server.dialed)
    assert pool.run(HOST, ("echo", "again"), 10).stdout == "again\n"
    assert len(server.dialed) == before + 1


def test_a_trickle_of_output_does_not_extend_a_deadline(pool: Pool) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        sh(pool, "while :; do echo x; sleep 0.1; done", 1)
    assert time.monotonic() - began < 3


def test_a_session_that_is_killed_is_a_lost_connection_at_once(pool: Pool, server: Server) -> None:
    threading.Timer(0.4, lambda: server.box.sh(f"kill -KILL {' '.join(map(str, server.sessions()))}")).start()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match=r"^sandbox: the connection was lost"):
        pool.run(HOST, ("sleep", "20"), 15)
    assert time.monotonic() - began < 5
    assert pool.run(HOST, ("echo", "again"), 10).stdout == "again\n"


def test_a_session_that_is_stopped_runs_into_the_deadline(pool: Pool, server: Server) -> None:
    pids = " ".join(map(str, server.sessions()))
    server.box.sh(f"kill -STOP {pids} || :")  # one of an earlier test may just be ending
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        pool.run(HOST, ("true",), 0.7)
    assert time.monotonic() - began < 3
    server.box.sh(f"kill -KILL {pids}")


def test_a_script_that_ends_the_shell_is_a_lost_connection_and_no_hang(pool: Pool) -> None:
    with pytest.raises(ConnectionLost):
        pool.script(HOST, "exit 3", 10)
    assert pool.run(HOST, ("true",), 10).code == 0


def test_a_new_connection_is_waited_for_until_the_limit(server: Server) -> None:
    """As after a fault that cut the link: sshd's answers are dropped, then come back."""
    with server.pool() as pool:
        pool.run(HOST, ("true",), 10)
        pool.drop(HOST)
        server.box.sh("kill -STOP $(cat /run/sshd.pid)")
        with pytest.raises(ConnectFailed):
            pool.reconnect(HOST, 0.5)
        threading.Timer(1.0, lambda: server.box.sh("kill -CONT $(cat /run/sshd.pid)")).start()
        pool.reconnect(HOST, 10)
        assert pool.run(HOST, ("true",), 5).code == 0


def test_a_host_that_accepts_and_says_nothing_is_given_up(server: Server) -> None:
    listener = server.inside(lambda: socket.create_server(("127.0.0.1", 2222)))
    began = time.monotonic()
    with pytest.raises(ConnectFailed, match=r"^cannot reach sandbox at root@127\.0\.0\.1:2222: .* after 1 tries"):
        ssh.connect(server.host(port=2222), server.dial, 1, 0.6)
    assert time.monotonic() - began < 3
    listener.close()


def test_a_host_that_stops_before_the_shell_is_there_is_given_up(server: Server) -> None:
    transport = ssh.connect(server.host(), server.dial)
    pids = " ".join(map(str, server.sessions()))
    server.box.sh(f"kill -STOP {pids}")
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="sandbox: no shell"):
        Shell(server.host(), transport, 0.7)
    assert time.monotonic() - began < 3
    server.box.sh(f"kill -KILL {pids} || :")
    transport.close()


# ---- who is there, and who are we --------------------------------------------------------------------------------------


def preauth(log: str) -> None:
    assert "Accepted" not in log
    assert "publickey" not in log


def test_a_changed_host_key_is_refused_and_nothing_is_sent(server: Server) -> None:
    start = len(server.log())
    other = server.host(kind="rsa").host_key.split()[1]
    wrong = server.host().host_key[:-8] + "AAAAAAA" + server.host().host_key[-1]
    for key in (wrong, f"ssh-ed25519 {other}"):
        dials = len(server.dialed)
        with server.pool(host_key=key) as pool, pytest.raises(HostKeyMismatch, match="nothing was sent"):
            pool.run(HOST, ("touch", "/tmp/sent"), 5)
        assert len(server.dialed) == dials + 1  # and not tried again
    time.sleep(0.2)
    preauth(server.log()[start:])
    assert not server.box.script("test -e /tmp/sent").ok


def test_every_type_of_host_key_that_the_inventory_may_name(server: Server) -> None:
    for kind in ("ed25519", "rsa"):
        with server.pool(kind=kind) as pool:
            assert pool.run(HOST, ("true",), 10).code == 0


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("ssh-dss AAAA", HostKeyMismatch),
        ("sk-nonsense@example.com AAAA", HostKeyMismatch),
        ("ecdsa-sha2-nistp256 AAAA", HostKeyMismatch),  # the host has none
        ("ssh-ed25519 not-base64!", UsageError),
        ("ssh-ed25519", UsageError),
        ("", UsageError),
    ],
)
def test_a_host_key_of_an_unknown_type_or_form_is_one_line(server: Server, key: str, error: type[Exception]) -> None:
    with server.pool(host_key=key) as pool, pytest.raises(error) as caught:
        pool.run(HOST, ("true",), 5)
    assert str(caught.value).startswith("sandbox")
    assert str(caught.value).isprintable()


def test_a_wrong_key_is_one_line_and_not_tried_again(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("other")) as stranger, server.pool(identity_file=str(stranger.key)) as pool:
        dials = len(server.dialed)
        with pytest.raises(ConnectFailed) as caught:
            pool.run(HOST, ("true",), 5)
    assert str(caught.value).startswith(f"sandbox at root@127.0.0.1:22 refuses the key {stranger.key}")
    assert str(caught.value).isprintable()
    assert len(server.dialed) == dials + 1


@pytest.mark.parametrize("content", [None, "", "not a key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_key_file_that_cannot_be_read_is_one_line(server: Server, tmp_path: object, content: str | None) -> None:
    path = f"{tmp_path}/key"
    if content is not None:
        with open(path, "w") as file:
            file.write(content)
    with server.pool(identity_file=path) as pool, pytest.raises(UsageError) as caught:
        pool.run(HOST, ("true",), 5)
    assert str(caught.value).startswith(f"cannot read the SSH key {path}: ")
    assert str(caught.value).isprintable()


def test_a_refused_connection_is_tried_three_times(server: Server) -> None:
    began = time.monotonic()
    tried: list[float] = []

    def dial(host: object, timeout_s: float) -> socket.socket:
        tried.append(time.monotonic())
        return server.dial(host, timeout_s)  # type: ignore[arg-type]

    with Pool(server.inventory(port=2), dial) as pool, pytest.raises(ConnectFailed) as caught:
        pool.run(HOST, ("true",), 5)
    assert len(tried) == 3
    assert time.monotonic() - began < 5
    assert "Connection refused after 3 tries" in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_was_read_is_not_read_again_while_many_plan(server: Server) -> None:
    texts = [f"echo {number} >>/tmp/asked; wc -l </tmp/asked" for number in (1, 2)] * 8
    with ReadOnce(server.inventory(), server.dial) as pool, ThreadPoolExecutor(8) as threads:
        answers = [done.stdout for done in threads.map(lambda text: pool.script(HOST, text, 5), texts)]
        assert [len(set(answers[number::2])) for number in (0, 1)] == [1, 1]
        assert sorted(pool.script(HOST, "cat /tmp/asked", 5).stdout.split()) == ["1", "2"]


def test_what_could_not_be_read_is_asked_again(server: Server) -> None:
    slow_once = "test -e /tmp/slow || { touch /tmp/slow; sleep 5; }; echo in time"
    with ReadOnce(server.inventory(), server.dial) as pool:
        with pytest.raises(DeadlineExceeded):
            pool.script(HOST, slow_once, 0.3)
        assert pool.script(HOST, slow_once, 5).stdout == "in time\n"


def test_a_user_other_than_root_works_through_sudo(server: Server) -> None:
    with server.pool(user="trading") as pool:
        assert sh(pool, "id -u; id -un") == (0, "0\nroot\n", "")


def test_a_user_who_may_not_sudo_is_told_so_in_one_line(server: Server) -> None:
    with server.pool(user="nobody") as pool, pytest.raises(TransportError) as caught:
        pool.run(HOST, ("true",), 5)
    assert "sudo: a password is required" in str(caught.value)
    assert str(caught.value).isprintable()


# ---- the wire ----------------------------------------------------------------------------------------------------------


def test_a_script_on_a_warm_shell_is_one_write_and_one_round_trip(pool: Pool, server: Server) -> None:
    counted = server.dialed[-1]
    for text in ("true", "echo out; echo err >&2; exit 0", "# " + "x" * 20_000 + "\ntrue"):
        counted.reset()
        pool.script(HOST, f"({text})", 5)
        time.sleep(0.05)  # what might still follow
        assert (counted.sends, counted.trips) == (1, 1)


def test_a_script_that_takes_several_packets_waits_for_no_answer_in_between(pool: Pool, server: Server) -> None:
    counted = server.dialed[-1]
    counted.reset()
    pool.script(HOST, "# " + "x" * 60_000 + "\ntrue", 10)
    assert counted.sends == 2
    assert counted.trips == 1


def test_one_connection_serves_many_scripts(pool: Pool, server: Server) -> None:
    before = len(server.dialed)
    for _ in range(20):
        pool.run(HOST, ("true",), 5)
    assert len(server.dialed) == before


def test_the_socket_sends_at_once(pool: Pool, server: Server) -> None:
    assert server.dialed[-1].sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_only_safe_algorithms_are_offered(pool: Pool) -> None:
    """No CBC, ChaCha20, SHA-1, MD5, small groups: nothing for Terrapin (CVE-2023-48795) to work on (test_hardened.py has the rest)."""
    offered = pool._links[HOST].transport.get_security_options()
    names = [*offered.ciphers, *offered.digests, *offered.kex]
    assert len(names) >= 6
    for bad in ("cbc", "3des", "arcfour", "md5", "sha1", "group1-", "group14", "exchange", "chacha"):
        assert [name for name in names if bad in name] == []


def test_an_error_takes_the_place_of_its_hosts_answer(pool: Pool) -> None:
    answers = pool.each([HOST], lambda host: pool.run(host, ("echo", host), 5).stdout)
    assert answers == {HOST: "sandbox\n"}
    failed = pool.each([HOST], lambda host: pool.run(host, ("sleep", "9"), 0.2))
    assert isinstance(failed[HOST], DeadlineExceeded)


def test_nothing_of_a_closed_pool_is_left_on_the_host(server: Server) -> None:
    with server.pool() as pool:
        pool.run(HOST, ("true",), 5)
    until = time.monotonic() + 5
    while server.sessions() and time.monotonic() < until:
        time.sleep(0.1)
    assert server.sessions() == {}


def test_no_secret_is_in_an_argument_or_the_environment_of_a_process(pool: Pool, server: Server) -> None:
    """Scripts go to the open shell and never into an argv: other users of the host could read it there."""
    done = pool.script(
        HOST, "(: planted-secret; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n')", 5
    )
    assert "sh" in done.stdout.split()
    assert "planted-secret" not in done.stdout
