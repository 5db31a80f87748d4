"""A Kafka broker for a stack on loopback: the lab's own files and jars, from its package layer, in a mount namespace
that ends with the broker. Skips the test where there is no such layer."""

from __future__ import annotations

import pytest

from stormdesk.infra.backends.lab import kafka, layer
from stormdesk.infra.topology import Kind, Service
from tests.e2e.stack_harness import ROOT, Stack, answers, eventually, free_port
from tests.skips import cannot, got

IN_LAYER = """
set -e
mkdir -p "$2" && mount -n -t tmpfs tmpfs "$2" && mkdir "$2/image" "$2/upper" "$2/work" "$2/root"
for _ in 1 2 3 4 5 6; do mount -n -t ext4 -o loop,ro,nodev "$1" "$2/image" 2>/dev/null && break || sleep 0.1; done
mount -n -t overlay -o "lowerdir=$2/image/upper:/,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
for shared in /proc /dev "$3"; do mkdir -p "$2/root$shared" && mount -n --rbind "$shared" "$2/root$shared"; done
mkdir -p "$2/root/etc/trading" && cp "$3"/kafka-files/* "$2/root/etc/trading/"
exec chroot "$2/root" /bin/sh /etc/trading/kafka.sh "$3/kafka" "$3/kafka.pid"
"""


def broker(stack: Stack) -> None:
    """Start it, or start it again with the data that it has, and wait until it answers."""
    if not ROOT:
        pytest.skip("Kafka's layer needs root")
    image = str(got(lambda: layer.ensure(print, with_kafka=True)))
    if not image.endswith(".ext4"):
        cannot("it has no loop devices, which Kafka's layer needs here")
    port = stack.port.setdefault("kafka", free_port())
    stack.bus = f"kafka://127.0.0.1:{port}"
    files = stack.home / "kafka-files"
    if not files.exists():
        files.mkdir()
        (stack.home / "kafka").mkdir()
        ports = {"kafka": port, "controller": free_port()}
        config = {"listen": "127.0.0.1", "data_dir": str(stack.home / "kafka")}
        service = Service(
            name="kafka", host="bus", kind=Kind.KAFKA, user="root", ports=ports, pidfile="kafka.pid", config=config
        )
        (files / "kafka.sh").write_text(kafka.START)
        (files / "kafka.properties").write_text(kafka.properties(service))
        (files / "kafka-log4j.properties").write_text(kafka.LOG4J)
    words = ["unshare", "-m", "--propagation", "private", "sh", "-c", IN_LAYER, "sh", image]
    stack._spawn("kafka", [*words, str(stack.home / "kafka-root"), str(stack.home)])
    eventually("the broker listens", lambda: answers(port), 60)
