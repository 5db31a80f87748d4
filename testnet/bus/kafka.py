"""The bus on Apache Kafka: one topic; a key has one partition, so its order is the partition's.

aiokafka lives on the event loop. Its idempotent producer has one request in flight for each partition (five would be
allowed), so a retry never overtakes. A producer that has failed is replaced: the caller publishes its doubtful messages
again, and the consumer recognises them by their ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from zlib import crc32

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from stormdesk.testnet.bus import BusError, Message

log = logging.getLogger(__name__)

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs each attempt; the result is in our error

ANSWER_S = 3.0  # for every request to the broker except a publish
BATCH_BYTES = 512_000
READ = 2_000  # messages at once
STOP_S = 1.0

Failures = (KafkaError, OSError, TimeoutError)


class KafkaBus:
    """One topic of the broker at `server` (host:port). The broker creates the topic on first use."""

    def __init__(self, server: str, topic: str, delivery_timeout_s: float) -> None:
        self._server = server
        self._topic = topic
        self._delivery_s = delivery_timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}  # the next offset of each partition
        self._stopping: set[asyncio.Task[None]] = set()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append messages; acknowledged by the broker (acks=all) within the delivery timeout."""
        try:
            async with asyncio.timeout(self._delivery_s + STOP_S):
                producer = await self._producing()
                answers = await asyncio.gather(*await self._submit(producer, messages), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
        except Failures as error:
            if self._producer is not None:
                self._let_go(self._producer)
                self._producer = None
            raise BusError(f"Kafka: {type(error).__name__} {error}") from error

    async def read(self, wait_s: float) -> list[bytes]:
        """Messages since the last call. While the broker is down there are none; afterwards it continues at the same offset."""
        try:
            consumer = await self._consuming()
            found = await consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=READ)
        except Failures as error:
            self._drop_consumer()
            raise BusError(f"Kafka: {type(error).__name__} {error}") from error
        for partition, records in found.items():
            self._positions[partition] = records[-1].offset + 1
        return [record.value or b"" for records in found.values() for record in records]

    async def lag(self) -> int:
        """The number of unread messages."""
        try:
            consumer = await self._consuming()
            async with asyncio.timeout(ANSWER_S):
                ends = await consumer.end_offsets(list(self._positions))
        except Failures as error:
            self._drop_consumer()
            raise BusError(f"Kafka: {type(error).__name__} {error}") from error
        return sum(max(end - self._positions[partition], 0) for partition, end in ends.items())

    async def close(self) -> None:
        """Close the connections."""
        if self._producer is not None:
            self._let_go(self._producer)
        self._drop_consumer()
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=STOP_S)

    async def _producing(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._server,
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=int(self._delivery_s * 1000),  # of a batch with all its retries
                max_batch_size=BATCH_BYTES,
            )
            try:
                await producer.start()
            except BaseException:
                self._let_go(producer)
                raise
            self._producer = producer
        return self._producer

    async def _submit(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[asyncio.Future[object]]:
        """Queue the messages, each partition's in order; returns the futures of their acknowledgements."""
        partitions = sorted(await producer.partitions_for(self._topic))
        queues: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            queues[partitions[crc32(message.key.encode()) % len(partitions)]].append(message)
        sent = []
        for partition, queue in queues.items():
            batch = producer.create_batch()
            for message in queue:
                word = {"key": message.key.encode(), "value": message.value, "timestamp": None}
                if batch.append(**word) is None:
                    sent.append(await producer.send_batch(batch, self._topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(**word)
            sent.append(await producer.send_batch(batch, self._topic, partition=partition))
        return sent

    async def _consuming(self) -> AIOKafkaConsumer:
        """The consumer: at the end of the topic if it is the first, else at the offset of the previous one."""
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                self._topic,
                bootstrap_servers=self._server,
                enable_auto_commit=False,
                auto_offset_reset="earliest",  # our offset is gone: continue with the oldest message
                request_timeout_ms=int(ANSWER_S * 1000),
            )
            try:
                async with asyncio.timeout(ANSWER_S):
                    await consumer.start()
                    partitions = consumer.assignment()
                    if not self._positions:
                        self._positions = await consumer.end_offsets(list(partitions))
                for partition in partitions:
                    consumer.seek(partition, self._positions.setdefault(partition, 0))
            except BaseException:
                self._let_go(consumer)
                raise
            self._consumer = consumer
        return self._consumer

    def _drop_consumer(self) -> None:
        if self._consumer is not None:
            self._let_go(self._consumer)
            self._consumer = None

    def _let_go(self, client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
        """Stop a client without waiting: a producer would first try to deliver its queue."""
        task = asyncio.create_task(client.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        self._stopping.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("Kafka: a client did not stop well: %s", error)
