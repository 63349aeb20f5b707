"""A real Alertmanager on our file mutes exactly what another alarm already says."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ingest import ports

pytestmark = pytest.mark.net

FILE = Path(__file__).parents[2] / "deploy" / "alertmanager.yml"

BREAKER = {"alertname": "BreakerOpen", "tenant": "acme", "agent_id": "refunds"}
FINDING = {"alertname": "Finding", "rule": "exact_loop", "tenant": "acme", "agent_id": "refunds"}
DOWN = {"alertname": "PipelineDown", "severity": "critical", "job": "worker"}
SILENT = {"alertname": "NoEvents", "severity": "warning"}


def call(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read() or b"null")


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Base URL of an Alertmanager without alarms. CI must have the program."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        assert os.environ.get("CI") != "true", "alertmanager is missing on CI"
        pytest.skip("NOT TESTED: alertmanager is not installed")
    address = f"{ports.HOST}:{ports.free_port()}"
    command = [
        program,
        f"--config.file={FILE}",
        f"--storage.path={tmp_path}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                call(f"http://{address}/api/v2/status")
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def muted(alertmanager: str, *alarms: Mapping[str, str]) -> list[str]:
    """Names of the alarms that are muted when all of these fire."""
    call(f"{alertmanager}/api/v2/alerts", [{"labels": alarm} for alarm in alarms])
    deadline = time.monotonic() + 10
    while len(known := call(f"{alertmanager}/api/v2/alerts")) < len(alarms):
        assert time.monotonic() < deadline, known
        time.sleep(0.02)
    return sorted(a["labels"]["alertname"] for a in known if a["status"]["inhibitedBy"])


@pytest.mark.parametrize(
    ("why", "alarms", "expected"),
    [
        ("an open breaker says what its agent's findings say", [BREAKER, FINDING], ["Finding"]),
        ("a finding alone is heard", [FINDING], []),
        ("another agent's is heard", [BREAKER, FINDING | {"agent_id": "billing"}], []),
        ("another tenant's is heard", [BREAKER, FINDING | {"tenant": "other"}], []),
        ("a second breaker is heard", [BREAKER, BREAKER | {"rule": "error_rate"}], []),
        (
            "labels missing on both sides do not make them equal",
            [{"alertname": "BreakerOpen"}, {"alertname": "Finding", "rule": "exact_loop"}],
            [],
        ),
        ("without a pipeline there are no events", [DOWN, SILENT], ["NoEvents"]),
        ("silence alone is heard", [SILENT], []),
        ("the pipeline's end mutes no finding", [DOWN, FINDING], []),
    ],
)
def test_an_alarm_is_muted_only_by_what_explains_it(
    alertmanager: str, why: str, alarms: list[dict[str, str]], expected: list[str]
) -> None:
    """Nothing is said twice, and nothing is swallowed."""
    assert muted(alertmanager, *alarms) == expected, why
