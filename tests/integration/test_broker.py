"""The embedded broker keeps Kafka's promises: order, durability, broker time, compaction."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from ingest import jars, ports
from ingest.broker import Broker, BrokerError, prepare

pytestmark = pytest.mark.kafka

LOG_APPEND_TIME = 1  # the protocol's number for "the broker's clock"


@pytest.fixture(scope="module", autouse=True)
def needs_jars() -> None:
    """Without the jars nothing here can run; CI must have them."""
    try:
        jars.class_path()
    except jars.JarError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO BROKER, NOT TESTED: {error}")


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests that do not stop it; its cleaner looks every 100 ms."""
    folder = tmp_path_factory.mktemp("broker")
    with Broker(folder, overrides={"log.cleaner.backoff.ms": "100"}) as broker:
        yield broker


async def create(broker: Broker, topic: str, config: Mapping[str, str] | None = None) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=dict(config or {}))])
    finally:
        await admin.close()


async def produce(
    broker: Broker,
    topic: str,
    values: list[bytes],
    key: bytes | None = None,
    timestamp_ms: int | None = None,
) -> None:
    """Returns when all are acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value, key, timestamp_ms=timestamp_ms) for value in values
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def consume(broker: Broker, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Everything that the topic's one partition holds now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        await consumer.seek_to_beginning(partition)
        records: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(10):
            while await consumer.position(partition) < end:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records.extend(batch)
        return records
    finally:
        await consumer.stop()


async def values(broker: Broker, topic: str) -> list[bytes | None]:
    return [record.value for record in await consume(broker, topic)]


NUMBERS = [b"%d" % number for number in range(500)]


def test_records_come_back_complete_and_in_order(common: Broker) -> None:
    """What an idempotent producer was acknowledged is read back, all of it, in order."""

    async def round_trip() -> list[bytes | None]:
        await create(common, "order")
        await produce(common, "order", NUMBERS)
        return await values(common, "order")

    assert asyncio.run(round_trip()) == NUMBERS


def test_indexes_are_small(common: Broker) -> None:
    """The kernel zeroes what it reads ahead of a hole: Kafka's 10 MB stop the broker at a first entry."""
    asyncio.run(create(common, "indexed"))
    asyncio.run(produce(common, "indexed", [b"the first makes the files"]))
    indexes = list((common.data_dir / "log" / "indexed-0").glob("*index"))

    assert len(indexes) == 2
    assert all(0 < file.stat().st_size <= 1 << 19 for file in indexes)


def test_it_listens_on_loopback_only(common: Broker) -> None:
    """Neither clients' nor the controller's port can be reached from another machine."""
    sockets = psutil.Process(common.pid).net_connections("inet")
    listening = {
        (s.laddr.ip.removeprefix("::ffff:"), s.laddr.port)
        for s in sockets
        if s.status == psutil.CONN_LISTEN
    }

    assert (ports.HOST, common.port) in listening
    assert {host for host, _ in listening} == {ports.HOST}


def test_a_misspelt_topic_is_not_created(common: Broker) -> None:
    """Topics exist only because somebody created them."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=common.bootstrap, request_timeout_ms=500)
        async with producer:
            await producer.send("agent.evnets.v1", b"x")

    with pytest.raises(UnknownTopicOrPartitionError):
        asyncio.run(send())


@pytest.mark.parametrize(
    ("kind", "is_the_brokers"), [("LogAppendTime", True), ("CreateTime", False)]
)
def test_record_time_is_the_brokers(common: Broker, kind: str, is_the_brokers: bool) -> None:
    """A LogAppendTime topic ignores the time that a producer claims; any other believes it."""
    topic = f"time-{kind}"

    async def stamped() -> ConsumerRecord[bytes, bytes]:
        await create(common, topic, {"message.timestamp.type": kind})
        await produce(common, topic, [b"x"], timestamp_ms=1)
        (record,) = await consume(common, topic)
        return record

    before_ms = time.time_ns() // 1_000_000
    record = asyncio.run(stamped())

    assert (record.timestamp_type == LOG_APPEND_TIME) is is_the_brokers
    assert (record.timestamp >= before_ms) is is_the_brokers


@pytest.mark.parametrize(("policy", "compacts"), [("compact", True), ("delete", False)])
def test_a_compacted_topic_keeps_the_last_value_of_a_key(
    common: Broker, policy: str, compacts: bool
) -> None:
    """Old values of a key go away from a compacted topic, the last never; a log keeps all."""
    topic = f"policy-{policy}"
    config = {
        "cleanup.policy": policy,
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "100",
    }

    async def survivors() -> list[bytes | None]:
        await create(common, topic, config)
        await produce(common, topic, NUMBERS, key=b"k")
        for attempt in range(30 if compacts else 5):
            await asyncio.sleep(0.15)  # longer than segment.ms, so that a new segment begins
            await produce(common, topic, [b"tick %d" % attempt], key=b"tick")
            left = await values(common, topic)
            if NUMBERS[0] not in left:
                break
        return left

    left = asyncio.run(survivors())

    assert NUMBERS[-1] in left
    assert (NUMBERS[0] not in left) is compacts


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_acknowledged_records_survive_the_brokers_end(tmp_path: Path, sig: signal.Signals) -> None:
    """After SIGTERM as after SIGKILL a restart has the data, at the address clients know."""
    with Broker(tmp_path) as first:
        address = first.bootstrap
        asyncio.run(create(first, "kept"))
        asyncio.run(produce(first, "kept", NUMBERS))
        if sig == signal.SIGKILL:
            first.kill()
        else:
            first.stop()

        assert not first.running

    with Broker(tmp_path) as second:
        assert second.bootstrap == address
        assert asyncio.run(values(second, "kept")) == NUMBERS


def test_a_broker_that_ended_by_itself_starts_again(tmp_path: Path) -> None:
    """Whoever finds it gone, calls `start` again on the same object."""
    with Broker(tmp_path) as broker:
        process = psutil.Process(broker.pid)
        process.kill()
        os.waitid(os.P_PID, broker.pid, os.WEXITED | os.WNOWAIT)
        assert not broker.running
        broker.start()

        assert broker.running
        assert broker.pid != process.pid


def test_a_directory_has_one_broker(common: Broker) -> None:
    """A second broker on the same directory is refused, and told who holds it."""
    with pytest.raises(BrokerError, match=f"in use by another broker, process {common.pid}$"):
        Broker(common.data_dir).start()

    assert common.running


def test_a_taken_port_is_refused_at_once(tmp_path: Path) -> None:
    """The operator reads which port is taken, not a timeout."""
    with socket.create_server((ports.HOST, ports.free_port())) as server:
        port = server.getsockname()[1]

        with pytest.raises(BrokerError, match=f"port {port} "):
            Broker(tmp_path, port).start()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries the end of Kafka's own log, and no process is left."""
    broker = Broker(tmp_path, overrides={"log.cleaner.dedupe.buffer.size": "1000"})

    with pytest.raises(BrokerError, match=r"log\.cleaner\.dedupe\.buffer\.size"):
        broker.start()
    assert not broker.running


def test_a_hung_broker_can_be_stopped(tmp_path: Path) -> None:
    """A broker stopped by SIGSTOP ends in bounded time all the same."""
    with Broker(tmp_path) as broker:
        process = psutil.Process(broker.pid)
        broker.kill(signal.SIGSTOP)
        os.waitid(os.P_PID, broker.pid, os.WSTOPPED | os.WNOWAIT)
        broker.stop()

    assert not process.is_running()


def command(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ingest.broker", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_command_runs_until_sigterm_and_leaves_nothing(tmp_path: Path) -> None:
    """`python -m ingest.broker` says where it listens, and SIGTERM ends it and its broker."""
    with command(tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        (broker,) = psutil.Process(process.pid).children()
        process.terminate()

        assert process.wait(20) == 0
    assert line == f"listening on {ports.HOST}:{(tmp_path / 'port').read_text()}\n"
    assert not broker.is_running()


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_killing_the_command_kills_its_broker(tmp_path: Path) -> None:
    """A supervisor that kills the command can start it again at once on the same directory."""
    with command(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (broker,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
    broker.wait(5)

    with Broker(tmp_path) as successor:
        assert successor.running


def test_a_broker_whose_starter_was_killed_keeps_its_directory(tmp_path: Path) -> None:
    """The lock lasts as long as the broker lives, so that no second one writes into its log."""
    starter = (
        "import os, signal, sys, pathlib; from ingest.broker import Broker;"
        "print(Broker(pathlib.Path(sys.argv[1])).start().pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", starter, str(tmp_path)], stdout=subprocess.PIPE, check=False
    )
    broker = psutil.Process(int(done.stdout))
    try:
        with pytest.raises(BrokerError, match=f"process {broker.pid}$"):
            Broker(tmp_path).start()
    finally:
        broker.kill()
        broker.wait(10)


@pytest.mark.soak
def test_a_recorded_start_is_used(tmp_path: Path) -> None:
    """`prepare` leaves a record that Java accepts for exactly our class path."""
    (tmp_path / "jars").mkdir()
    for jar in (jars.cache_default() / "jars").glob("*.jar"):
        (tmp_path / "jars" / jar.name).hardlink_to(jar)
    prepare(tmp_path)
    record = jars.start_record(tmp_path)

    with Broker(tmp_path / "data", cache_dir=tmp_path) as broker:
        assert f"-XX:AOTCache={record}" in psutil.Process(broker.pid).cmdline()
        assert str(record) in {area.path for area in psutil.Process(broker.pid).memory_maps()}
