"""Incidents from the topic to a real Alertmanager and to a real web hook, also when those are away."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ingest import codec, keys
from ingest.provision import provision
from ingest.records import Incident
from ingest.settings import Settings
from ingest.topics import INCIDENTS, PARTITIONS
from stream.alerts import alerts
from tests.integration.test_inhibition import alertmanager, call
from tests.sinking import until
from tracefuse import wire
from tracefuse.clock import now_us

__all__ = ["alertmanager"]

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.net,
    # apprise loads all its plugins with the first address; one of them still knows `imghdr`.
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]


class Hook:
    """A web hook that writes down what it is told, and answers as it is told to."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.refusing = False
        self.tries = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.tries += 1
                if not hook.refusing:
                    hook.heard.append(json.loads(body))
                self.send_response(500 if hook.refusing else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing: the test looks at `heard`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.route = f"json://127.0.0.1:{self._server.server_port}/hook"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    started = Hook()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def stack(settings: Settings) -> Settings:
    asyncio.run(provision(settings))
    return settings


@pytest.fixture(autouse=True)
def group(request: pytest.FixtureRequest, stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of its own for each test, which has heard all that other tests wrote."""
    name = f"alerts-{request.node.name}"
    monkeypatch.setattr(alerts, "GROUP", name)

    async def heard() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap, group_id=name)
        consumer.assign([TopicPartition(INCIDENTS, number) for number in range(PARTITIONS)])
        async with consumer:
            await consumer.commit(await consumer.end_offsets(list(consumer.assignment())))

    asyncio.run(heard())


def incident(name: str, *routes: str, **more: Any) -> Incident:
    said: dict[str, Any] = {
        "incident_id": name, "tenant": "acme", "agent_id": "refunds", "severity": "critical",
        "title": "exact_loop stop-run: refunds", "sentence": "Four identical calls.",
        "detector": "exact_loop", "action": "stop-run", "cmd_id": f"cmd-{name}",
        "signal_id": "sig", "routes": list(routes), "opened_at": now_us() / 1e6,
    }  # fmt: skip
    return Incident(**(said | more))


async def put(settings: Settings, *incidents: Incident) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True)
    async with producer:
        for one in incidents:
            headers = [(wire.KIND, codec.INCIDENTS)]
            await producer.send_and_wait(
                INCIDENTS, codec.encode(one), key=one.incident_id.encode(), headers=headers
            )


@asynccontextmanager
async def telling(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(alerts.run(settings, keys.create(settings.keys_folder)))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_the_owners_routes_hear(stack: Settings, alertmanager: str, hook: Hook) -> None:
    """One incident: an alarm in Alertmanager with stable labels, and one message at the web hook."""
    settings = replace(stack, alertmanager=alertmanager)

    async def play() -> list[Any]:
        async with telling(settings) as task:
            both = incident("both", "alertmanager", hook.route)
            await put(settings, both, both, incident("again", "alertmanager"))
            await until(lambda: hook.heard, 60, task)
            url = f"{alertmanager}/api/v2/alerts"
            await until(lambda: call(url), 60, task)
            await until(lambda: call(url)[0]["annotations"]["count"] == "2", 60, task)
            return list(call(url))

    (alarm,) = asyncio.run(play())

    assert alarm["labels"] == {
        "alertname": "BreakerOpen", "tenant": "acme", "agent_id": "refunds",
        "rule": "exact_loop", "severity": "critical",
    }  # fmt: skip
    assert alarm["annotations"]["description"] == "Four identical calls."
    assert alarm["receivers"] == [{"name": "page"}]
    assert len(hook.heard) == 1
    assert "Four identical calls." in hook.heard[0]["message"]


def test_alertmanager_hears_of_the_end(stack: Settings, alertmanager: str, hook: Hook) -> None:
    """A resolved incident fires no more."""
    settings = replace(stack, alertmanager=alertmanager)
    url = f"{alertmanager}/api/v2/alerts"

    async def play() -> None:
        async with telling(settings) as task:
            await put(settings, incident("ends", "alertmanager", agent_id="ends"))
            await until(lambda: any(a["labels"]["agent_id"] == "ends" for a in call(url)), 60, task)
            over = incident("ends", "alertmanager", agent_id="ends", status="resolved")
            await put(settings, over)
            await until(
                lambda: not any(a["labels"]["agent_id"] == "ends" for a in call(url)), 60, task
            )

    asyncio.run(play())


def test_a_route_that_refuses_is_told_later(stack: Settings, hook: Hook) -> None:
    """F31: nothing is lost while it answers errors, and its return brings no storm."""
    hook.refusing = True

    async def play() -> None:
        async with telling(stack) as task:
            await put(stack, *(incident(f"refused-{n}", hook.route) for n in range(40)))
            await until(lambda: hook.tries >= 2, 60, task)
            hook.refusing = False
            await until(lambda: hook.heard, 60, task)
            await asyncio.sleep(1.0)

    asyncio.run(play())

    assert [heard["title"] for heard in hook.heard] == ["40 incidents of refunds"]


def test_a_restart_tells_what_nobody_heard(stack: Settings, hook: Hook) -> None:
    """What was heard is told to nobody; what a route refused until the end is told by the next."""

    async def play() -> None:
        async with telling(stack) as task:
            await put(stack, incident("heard", hook.route))
            await until(lambda: hook.heard, 60, task)
            await asyncio.sleep(2 * alerts.COMMIT_SECONDS)
            hook.refusing = True
            await put(stack, incident("unheard", hook.route))
            tries = hook.tries
            await until(lambda: hook.tries > tries, 60, task)
            await asyncio.sleep(2 * alerts.COMMIT_SECONDS)
        hook.refusing = False
        hook.heard.clear()
        async with telling(stack) as task:
            await until(lambda: hook.heard, 60, task)
            await asyncio.sleep(1.0)

    asyncio.run(play())

    assert len(hook.heard) == 1
    assert "unheard" in hook.heard[0]["message"]


def test_a_hanging_route_holds_nobody_up(stack: Settings, hook: Hook) -> None:
    """A route that takes the connection and never answers: the others hear all the same."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as deaf:  # never served
        mute = f"json://127.0.0.1:{deaf.server_port}/hook"

        async def play() -> float:
            loop = asyncio.get_running_loop()
            async with telling(stack) as task:
                await put(stack, incident("first", hook.route))
                await until(lambda: hook.heard, 60, task)
                begun = loop.time()
                await put(stack, incident("hangs", mute), incident("second", hook.route))
                await until(lambda: len(hook.heard) == 2, 60, task)
                return loop.time() - begun

        assert asyncio.run(play()) < 3.5  # apprise waits 4 s for the mute one


def test_nonsense_is_passed_over(stack: Settings, hook: Hook) -> None:
    """A record that is no incident and an address that is none stop nothing."""

    async def play() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap, enable_idempotence=True)
        async with telling(stack) as task:
            async with producer:
                headers = [(wire.KIND, codec.INCIDENTS)]
                for value in (b"{", b"\xff", b"[" * 5000):
                    await producer.send_and_wait(INCIDENTS, value, headers=headers)
            await put(stack, incident("nowhere", "nonsense"), incident("fine", hook.route))
            await until(lambda: hook.heard, 60, task)

    asyncio.run(play())

    assert "fine" in hook.heard[0]["message"]
