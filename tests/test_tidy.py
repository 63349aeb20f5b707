"""Mistakes that no linter looks for: over the source text, with every exception named and explained."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from ingest import metrics
from sql.migrate import read
from stream.sink.columns import COLUMNS, Block

ROOT = Path(__file__).parents[1]
PACKAGES = ("ingest", "stream", "detectors", "sql", "dashboards")
SDK = ROOT / "ingest" / "sdk" / "src"
TEXTS = (*PACKAGES, "tests", "docs", "deploy", ".ci")

# Who may read the wall clock besides the edge of the SDK, and why.
WALL_CLOCKS = {
    "ingest/sdk/src/tracefuse/clock.py": "the SDK's only clock; everybody else calls it",
    "dashboards/demo.py": "names the demo's tenant after the minute it began",
}
# Who may print: the command line's voice. Others log, or return what is to be said.
PRINTERS = {"dashboards/output.py": "all that commands say goes through it"}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders or (*PACKAGES, "tests"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sources(*folders):
        yield name(path), ast.parse(path.read_text("utf-8"), str(path))


def test_modules_say_what_they_are() -> None:
    """Every module opens with a docstring: its place in the flow, or its promise."""
    silent = [path for path, tree in trees() if not ast.get_docstring(tree)]

    assert silent == []


def test_tests_state_their_promise() -> None:
    """Every test has a docstring."""
    silent = [
        f"{path}:{node.lineno}"
        for path, tree in trees("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_only_the_command_line_prints() -> None:
    """A print in a stage is a forgotten one: Faust even swallows all but its first argument."""
    found = [path for path, tree in trees(*PACKAGES) if "print" in calls(tree)]

    assert set(found) <= PRINTERS.keys()


def test_nobody_reads_the_wall_clock() -> None:
    """Decisions take record time as an argument; edges call `tracefuse.clock`."""
    clocks = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}
    found = {
        path
        for path, tree in trees(*PACKAGES)
        for call in calls(tree)
        if call in clocks or call.removeprefix("datetime.") in clocks
    }

    assert found <= WALL_CLOCKS.keys()


def test_faust_is_known_to_one_file() -> None:
    """A change of the stream library changes `stream/worker/app.py` alone."""
    found = {path for path, tree in trees(*PACKAGES) for m in imported(tree) if root(m) == "faust"}

    assert found <= {"stream/worker/app.py"}


def test_rivers_stream_is_not_ours() -> None:
    """`from river import stream` would shadow the package of that name."""
    found = [path for path, tree in trees() if "river.stream" in imported(tree)]

    assert found == []


def root(module: str) -> str:
    return module.partition(".")[0]


def test_migrations_have_no_gaps() -> None:
    """Numbers are 1, 2, 3: `read` refuses anything else."""
    assert read(ROOT / "sql")


@pytest.mark.parametrize("package", [*PACKAGES, "tracefuse"])
def test_exported_names_exist(package: str) -> None:
    """`from … import *` works: each name of `__all__` can be had."""
    module = importlib.import_module(package)
    missing = [one for one in getattr(module, "__all__", ()) if not hasattr(module, one)]

    assert missing == []


def test_dashboards_ask_for_metrics_that_exist() -> None:
    """A misspelt metric is an empty panel that nobody misses until the night it matters."""
    used = {
        (name(path), metric)
        for path in (ROOT / "dashboards").rglob("*.json")
        for metric in re.findall(r"tracefuse_[a-z_]+", path.read_text("utf-8"))
    }
    unknown = [one for one in used if one[1] not in exposed()]

    assert used, "no dashboard asks Prometheus for anything"
    assert unknown == []


def test_every_metric_is_counted_by_somebody() -> None:
    """A figure of the catalogue that no process sets is a promise without a measure."""
    text = "".join(path.read_text("utf-8") for path in sources("ingest", "stream"))
    names = [name for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)]
    idle = [name for name in names if not re.search(rf"(metrics\.|^    ){name}\b", text, re.M)]

    assert idle == []


def exposed() -> set[str]:
    """Names under which the catalogue's metrics are scraped."""
    found = {"tracefuse_process_info"}
    for metric in vars(metrics).values():
        for family in metric.describe() if isinstance(metric, MetricWrapperBase) else ():
            ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
            found |= {family.name + end for end in ends.get(family.type, ("",))}
    return found


@pytest.mark.parametrize("table", COLUMNS)
def test_rows_fit_the_tables(table: str) -> None:
    """What the sink writes is what the migrations declare: no column is forgotten or invented."""
    written = Block(table, "agent.events.v1", 0).columns()

    assert set(written) == set(declared()[table])


def declared() -> dict[str, list[str]]:
    """Columns of each table that are stored, as all migrations together declare them."""
    found: dict[str, list[str]] = {}
    for migration in read(ROOT / "sql"):
        text = re.sub(r"\s*--.*", "", migration.sql)
        for table, body in re.findall(
            r"CREATE TABLE IF NOT EXISTS (\w+)\s*\n\((.*?)\n\)", text, re.DOTALL
        ):
            parts = [part.split() for part in body.split(",\n") if part.strip()]
            found[table] = [part[0] for part in parts if part[0] != "INDEX" and "ALIAS" not in part]
        for table, body in re.findall(r"ALTER TABLE (\w+)\s*\n(.*?);", text, re.DOTALL):
            found[table] += re.findall(r"ADD COLUMN IF NOT EXISTS (\w+)", body)
    return found


def test_the_readme_shows_the_tree() -> None:
    """Each path that the README names in code exists, and each folder of the root is named."""
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("no README yet")
    text = readme.read_text("utf-8")
    folders = "|".join(TEXTS[:-1])
    found = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./-]*+)(?!…)", text)  # `…`: a name to be
    missing = [path for path in sorted(set(found)) if not (ROOT / path.rstrip("./-")).exists()]
    unnamed = [folder for folder in (*PACKAGES, "tests") if f"{folder}/" not in text]

    assert missing == []
    assert unnamed == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", r"(?<![\w.}:~])/(work|root|home/(?!tracefuse)\w+|Users)/"),
        (
            "an address of a package index",
            r"-index\-url|://[\w.-]+/simple\b|py[p]i\.org|python[h]osted",
        ),
    ],
)
def test_texts_belong_to_no_machine(what: str, pattern: str) -> None:
    """A checkout works anywhere: {what} would bind it to where it was written."""
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md"), ROOT / ".ci" / "run"]
    for folder in TEXTS:
        files += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".py", ".toml", ".md", ".yml", ".yaml", ".sql", ".json", ".sh"}
        ]
    found = [name(path) for path in files if re.search(pattern, path.read_text("utf-8"))]

    assert found == [], what
