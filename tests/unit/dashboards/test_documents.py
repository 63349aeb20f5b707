"""What people type after the documents exists: commands, their options, tables and alarms."""

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards import cli

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def parser_of(name: str) -> argparse.ArgumentParser:
    module = importlib.import_module(f"dashboards.commands.{cli.COMMANDS[name][0]}")
    return commands_of(cli._parser(name, module))[name]


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def shown(text: str) -> Iterator[list[str]]:
    """Words of each command in code: of a line in a block, or between backticks."""
    lines = re.findall(r"^(?: {4,}|\$ )?(?:\.venv/bin/)?tracefuse (.+)$", text, re.MULTILINE)
    for line in (*lines, *re.findall(r"`(?:\.venv/bin/)?tracefuse ([^`]+)`", text)):
        words = re.sub(r"…|\.\.\.", "", line.partition(" #")[0].partition(" > ")[0])
        yield shlex.split(words, comments=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_tells_to_type_is_there(page: Path) -> None:
    """Each command, what follows it where that is a choice, and each option."""
    wrong = []
    for words in shown(page.read_text("utf-8")):
        if words[0] not in cli.COMMANDS:
            wrong.append(words[0])
            continue
        parser = parser_of(words[0])
        given = words[1:]
        if (inner := commands_of(parser)) and given:
            if given[0] not in inner:
                wrong.append(" ".join(words))
                continue
            parser = inner[given.pop(0)]
        first = next((a for a in parser._actions if not a.option_strings), None)
        if first is not None and first.choices and given and given[0] not in first.choices:
            wrong.append(" ".join(words))
        wrong += [
            f"{words[0]} {word}"
            for word in given
            if word.startswith("--") and word not in parser._option_string_actions
        ]

    assert wrong == []


def test_every_command_is_told_of() -> None:
    """Somewhere in the README or the pages beside it."""
    told = {words[0] for page in PAGES for words in shown(page.read_text("utf-8"))}

    assert sorted(set(cli.COMMANDS) - told) == []


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_says_what_it_is(name: str) -> None:
    """In `--help`, where people look who know the command."""
    parsers = [parser_of(name), *commands_of(parser_of(name)).values()]
    silent = [
        action.option_strings
        for parser in parsers
        for action in parser._actions
        if action.option_strings and action.option_strings != ["--json"] and not action.help
    ]

    assert silent == []


def test_the_page_on_evidence_names_all_tables_and_views() -> None:
    """And no others: who reconstructs an incident sees all there is."""
    text = (ROOT / "docs" / "evidence.md").read_text("utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    described = re.findall(r"`(\w+)`", " ".join(cells)) + re.findall(r"`(events_raw)`", text)
    migrations = " ".join(path.read_text("utf-8") for path in (ROOT / "sql").glob("0*.sql"))
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", migrations))
    views = {path.stem for path in (ROOT / "sql" / "views").glob("*.sql")}

    assert sorted(described) == sorted(tables | views)


def test_the_page_for_the_alarmed_knows_every_alarm() -> None:
    """Each alarm of the pipeline has its line there, and no other."""
    text = (ROOT / "docs" / "on-call.md").read_text("utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    rules = (ROOT / "deploy" / "rules.yml").read_text("utf-8")
    alarms = re.findall(r"- alert: (\w+)", rules)

    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(alarms)
