"""Apache Kafka for hosts: its jars by pinned coordinates and checksums, and how a host runs it.

Maven's `dependency:copy` downloads the jars, so a mirror in Maven's settings works; no URL is hard-coded here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stormdesk.core.errors import RefusedError
from stormdesk.infra.topology import Service

PACKAGES, TOOLS = ("default-jre-headless",), ("maven",)  # a JRE 17 or newer for hosts; build tools
JARS = Path(__file__).with_name("kafka-jars.txt")
FOLDER = "/usr/share/stormdesk/kafka"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
CLUSTER = "c3Rvcm1kZXNrLWthZmthLg"  # every environment has its own broker, so one id is enough

# The heap and metaspace are bounded; the compiler's first tier is enough for one broker and saves 60 MiB.
JAVA = f"""\
java -Xms48m -Xmx160m -XX:MaxMetaspaceSize=96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \\
  -Djava.awt.headless=true -Dlog4j.configuration=file:/etc/trading/kafka-log4j.properties -cp '{FOLDER}/*'"""

# Storage without meta.properties is formatted anew. `exec` keeps the pid, so the pid file names the broker.
START = f"""\
#!/bin/sh
set -eu
data=$1 pidfile=$2
if [ ! -s "$data/log/meta.properties" ]; then
  rm -rf "$data/log"
  {JAVA} kafka.tools.StorageTool format --cluster-id {CLUSTER} --config /etc/trading/kafka.properties
fi
echo $$ >"$pidfile"
exec {JAVA} kafka.Kafka /etc/trading/kafka.properties
"""

LOG4J = """\
log4j.rootLogger=WARN, out
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
"""


def properties(service: Service) -> str:
    """The broker's configuration: KRaft, broker and controller combined, a bounded log. A single broker has no failover."""
    ports, listen = service.ports, service.config["listen"]
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports["controller"]}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{listen}:{ports["kafka"]},CONTROLLER://127.0.0.1:{ports["controller"]}
log.dirs={service.config["data_dir"]}/log
auto.create.topics.enable=true
num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.segment.bytes=16777216
log.retention.bytes=50331648
log.retention.check.interval.ms=10000
metadata.log.segment.bytes=8388608
metadata.max.retention.bytes=16777216
log.cleaner.enable=false
num.network.threads=2
num.io.threads=2
background.threads=2
"""


def pins() -> Mapping[str, str]:
    """The checksum (sha256, hex) of each jar by its Maven coordinates, group:artifact:version."""
    return dict(line.split() for line in JARS.read_text().splitlines())


def pom(folder: str) -> str:
    """The POM that makes Maven copy the jars into `folder`."""
    names = [coordinates.split(":") for coordinates in pins()]
    items = "".join(
        f"<artifactItem><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></artifactItem>\n"
        for g, a, v in names
    )
    return f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>stormdesk</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<build><plugins><plugin><artifactId>maven-dependency-plugin</artifactId><configuration>
<outputDirectory>{folder}</outputDirectory><artifactItems>
{items}</artifactItems></configuration></plugin></plugins></build></project>
"""


def verify(folder: Path) -> None:
    """RefusedError unless `folder` holds exactly the pinned jars."""
    wanted = {f"{a}-{v}.jar": checksum for (_, a, v), checksum in ((c.split(":"), s) for c, s in pins().items())}
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if wrong:
        raise RefusedError(f"Kafka: differs from {JARS.name}: {', '.join(wrong)}")
