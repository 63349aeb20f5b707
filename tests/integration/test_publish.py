"""`tracefuse dashboards publish` through the real client library against a stand-in for Grafana.

Grafana itself is not to be had on a machine without containers. The stand-in keeps what it is told and
answers as Grafana's HTTP API is documented to; whether a real Grafana draws the panels is not shown here.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dashboards.publish import FOLDER_UID, publish
from ingest.settings import Settings
from tracefuse.errors import ConfigError

pytestmark = pytest.mark.net

TOKEN = "glsa_test"


class Grafana(ThreadingHTTPServer):
    """Folders, data sources and dashboards by uid, in memory; `seen` holds every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str]] = []
        self.folders: dict[str, Any] = {}
        self.sources: dict[str, Any] = {}
        self.dashboards: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """The few routes that publishing uses."""

    server: Grafana
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._route("GET", None)

    def do_POST(self) -> None:
        self._route("POST", self._body())

    def do_PUT(self) -> None:
        self._route("PUT", self._body())

    def log_request(self, *_: object) -> None:
        """Quiet."""

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _route(self, method: str, body: Any) -> None:
        grafana, path = self.server, self.path.removeprefix("/api")
        grafana.seen.append((method, path))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Invalid API key"})
        elif method == "GET":
            self._get(path)
        elif path == "/dashboards/db":
            self._dashboard(body)
        else:
            kept = grafana.folders if path == "/folders" else grafana.sources
            known = body["uid"] in kept
            if known and method == "POST":
                self._answer(409, {"message": "already exists"})
                return
            kept[body["uid"]] = body
            self._answer(200, body)

    def _get(self, path: str) -> None:
        kept = self.server.folders if path.startswith("/folders/") else self.server.sources
        found = kept.get(path.rpartition("/")[2])
        self._answer(*((200, found) if found else (404, {"message": "not found"})))

    def _dashboard(self, body: Any) -> None:
        dashboard = body["dashboard"]
        before = self.server.dashboards.get(dashboard["uid"])
        if body["folderUid"] not in self.server.folders:
            self._answer(400, {"message": "folder not found"})
        elif before is not None and not body.get("overwrite"):
            self._answer(412, {"message": "version mismatch"})
        else:
            version = before["version"] + 1 if before else 1
            self.server.dashboards[dashboard["uid"]] = {**body, "version": version}
            url = f"/d/{dashboard['uid']}/fleet"
            self._answer(200, {"uid": dashboard["uid"], "url": url, "version": version})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    server = Grafana()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(grafana: Grafana) -> Settings:
    return Settings(grafana=grafana.url, grafana_token=TOKEN, clickhouse="store:8123")


def test_everything_arrives(grafana: Grafana, settings: Settings) -> None:
    """Folder, both data sources and the dashboard come by their uids, the dashboard in its folder."""
    (made,) = publish(settings, "http://prometheus:9090")
    source = grafana.sources["tracefuse-clickhouse"]

    assert list(grafana.folders) == [FOLDER_UID]
    assert source["jsonData"]["host"] == "store"
    assert source["jsonData"]["port"] == 8123
    assert grafana.sources["tracefuse-prometheus"]["url"] == "http://prometheus:9090"
    assert grafana.dashboards[made.uid]["folderUid"] == FOLDER_UID
    assert grafana.dashboards[made.uid]["dashboard"]["id"] is None
    assert (made.version, made.url) == (1, f"/d/{made.uid}/fleet")


def test_repeats_add_nothing(grafana: Grafana, settings: Settings) -> None:
    """Published again, there is one of each, and the dashboard's version tells of it."""
    publish(settings, "http://prometheus:9090")
    (made,) = publish(settings, "")

    assert made.version == 2
    assert len(grafana.folders) == 1
    assert len(grafana.sources) == 2
    assert len(grafana.dashboards) == 1


def test_nothing_else_is_touched(grafana: Grafana, settings: Settings) -> None:
    """Only our uids are written; people's own data sources and dashboards are not even read."""
    publish(settings, "")

    assert {path for method, path in grafana.seen if method != "GET"} == {
        "/folders", "/datasources", "/dashboards/db",
    }  # fmt: skip
    assert {path for method, path in grafana.seen if method == "GET"} == {
        "/folders/tracefuse", "/datasources/uid/tracefuse-clickhouse",
    }  # fmt: skip


def test_a_wrong_token_is_told(grafana: Grafana, settings: Settings) -> None:
    """A refusal names Grafana and the reason, and nothing was written."""
    with pytest.raises(ConfigError, match=rf"{grafana.url} refuses: Unauthorized"):
        publish(replace(settings, grafana_token="wrong"), "")

    assert grafana.folders == {}


def test_an_absent_grafana_is_told() -> None:
    """Where nobody listens, the operator is told the URL."""
    nobody = Settings(grafana="http://127.0.0.1:9", grafana_token=TOKEN)

    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9 does not answer"):
        publish(nobody, "")


@pytest.mark.parametrize(("url", "name"), [("", "TRACEFUSE_GRAFANA"), ("http://g", "_TOKEN")])
def test_missing_settings_are_named(url: str, name: str) -> None:
    """Without URL or token the variable to set is named."""
    with pytest.raises(ConfigError, match=name):
        publish(Settings(grafana=url), "")
