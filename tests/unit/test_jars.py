"""Only the locked jars reach the class path, and the network is asked only when one is wrong."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from ingest import jars

CONTENT = {"org.example:one:1.0": b"first jar", "org.example:two:2.0": b"second jar"}
LOCK = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with both jars."""
    (tmp_path / "jars").mkdir()
    for coordinate, content in CONTENT.items():
        (tmp_path / "jars" / jars.file_name(coordinate)).write_bytes(content)
    return tmp_path


def no_network(
    coordinates: Mapping[str, str], folder: Path, lock: Mapping[str, str]
) -> dict[str, str]:
    return dict.fromkeys(coordinates, "no network")


def truncate(cache: Path) -> Path:
    jar = cache / "jars" / "two-2.0.jar"
    jar.write_bytes(CONTENT["org.example:two:2.0"][:-1])
    return jar


def test_a_complete_cache_needs_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the locked jars there, nothing is fetched, and the class path is the lock's order."""
    monkeypatch.setattr(jars, "fetch", None)

    assert jars.class_path(cache, LOCK) == f"{cache}/jars/one-1.0.jar:{cache}/jars/two-2.0.jar"


def test_a_truncated_jar_is_refused_by_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator reads which jar is damaged and why it could not be replaced."""
    monkeypatch.setattr(jars, "fetch", no_network)
    truncate(cache)

    with pytest.raises(jars.JarError, match=r"two:2\.0: damaged \(9 bytes\); no network"):
        jars.class_path(cache, LOCK)


def test_control_without_the_hash_a_truncated_jar_passes(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the hash that finds it: a check of names alone lets it through."""
    monkeypatch.setattr(
        jars, "digest", lambda jar: LOCK[f"org.example:{jar.name[:3]}:{jar.name[4:7]}"]
    )
    jar = truncate(cache)

    assert str(jar) in jars.class_path(cache, LOCK)


def test_a_missing_jar_is_refused_by_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache with a single jar is not mistaken for a complete one."""
    monkeypatch.setattr(jars, "fetch", no_network)
    (cache / "jars" / "one-1.0.jar").unlink()

    with pytest.raises(jars.JarError, match=r"^1 jars .*\n  org\.example:one:1\.0: missing; no"):
        jars.class_path(cache, LOCK)


def test_a_damaged_jar_is_fetched_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken cache repairs itself, and only what is broken is fetched."""
    asked = []

    def fetch(
        coordinates: Mapping[str, str], folder: Path, lock: Mapping[str, str]
    ) -> dict[str, str]:
        asked.append(list(coordinates))
        for coordinate in coordinates:
            (folder / jars.file_name(coordinate)).write_bytes(CONTENT[coordinate])
        return {}

    monkeypatch.setattr(jars, "fetch", fetch)
    truncate(cache)
    jars.class_path(cache, LOCK)

    assert asked == [["org.example:two:2.0"]]
    assert jars.faults(cache / "jars", LOCK) == {}


def test_the_local_maven_cache_serves_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A jar that Maven fetched before is copied, if it is the locked one: no network."""
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setattr(jars, "_download", None)
    for coordinate, content in CONTENT.items():
        group, artifact, version = coordinate.split(":")
        folder = tmp_path / "m2" / group.replace(".", "/") / artifact / version
        folder.mkdir(parents=True)
        (folder / jars.file_name(coordinate)).write_bytes(content)

    assert jars.fetch(LOCK, tmp_path / "jars", LOCK) == {}
    assert jars.faults(tmp_path / "jars", LOCK) == {}


def test_another_file_than_the_locked_one_changes_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a repository serves instead of the locked jar never reaches the class path."""
    monkeypatch.setenv("M2_REPO", str(cache / "m2"))
    monkeypatch.setattr(jars, "_download", lambda session, jar, file: file.write(b"evil"))
    before = sorted((cache / "jars").iterdir())
    failures = jars.fetch({"org.example:two:2.0": ""}, cache / "jars", LOCK)

    assert failures == {"org.example:two:2.0": "what came is not the locked jar"}
    assert sorted((cache / "jars").iterdir()) == before
    assert jars.faults(cache / "jars", LOCK) == {}


def test_the_lock_names_each_jar_once() -> None:
    """46 full hashes of 46 files, the broker itself and its log among them."""
    lock = jars.locked()

    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for sha256 in lock.values())
    assert len({jars.file_name(coordinate) for coordinate in lock}) == len(lock) == 46
    assert {"org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"} <= lock.keys()


def test_the_cache_is_where_the_operator_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRACEFUSE_CACHE moves it; without it, it is below the home directory."""
    monkeypatch.setenv("TRACEFUSE_CACHE", "/elsewhere")
    assert jars.cache_default() == Path("/elsewhere/kafka")

    monkeypatch.delenv("TRACEFUSE_CACHE")
    assert jars.cache_default() == Path.home() / ".cache" / "tracefuse" / "kafka"
