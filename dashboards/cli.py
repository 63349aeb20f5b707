"""The command line: `tracefuse COMMAND`. One file a command in `commands/`, imported when it is called.

Exit codes: 0 done · 1 the answer is no (not found, refused, not as published) · 2 wrong usage or setting
(`replay`: another build) · 3 a service cannot be reached · 4 a part of it can't be done (`undo`) · 70 a fault
of ours · 130 interrupted.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from dashboards import runfile
from dashboards.output import Output
from ingest.settings import Settings
from tracefuse.errors import ConfigError, TracefuseError

START = "`tracefuse up` starts a stack, `tracefuse doctor` looks for what is wrong"
OK, NO, USAGE, UNREACHABLE, FAULT, INTERRUPTED = 0, 1, 2, 3, 70, 130

# name -> (module in `commands`, what it does). Each module has `arguments(parser)` and
# `run(options, settings, out) -> int`.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", "start the embedded stack and keep it running until Ctrl-C"),
    "demo": ("demo", "play the labelled fleet and judge what was stopped"),
    "status": ("status", "processes, lag, rates, open breakers"),
    "tail": ("tail", "events, steps, signals, commands and incidents as they come"),
    "trace": ("trace", "everything that is known of one trace, in order"),
    "undo": ("undo", "what an agent changed in a run, and what takes it back; with --run, do it"),
    "breaker": ("breaker", "list open breakers; force one open or release it"),
    "kill": ("kill", "stop an agent or a wider scope now, signed by this machine's human key"),
    "cosign": ("cosign", "read, and sign as the second person, what takes two"),
    "promote": ("promote", "let an agent run in one more environment, if its gate is passed"),
    "rollout": ("rollout", "give an agent's runs another bundle, stage by stage"),
    "rollback": ("rollback", "give every run of some agents the stable bundle again, at once"),
    "approvals": ("approvals", "calls that wait for a person"),
    "approve": ("approve", "say yes or no to a call that waits, signed"),
    "reviews": ("reviews", "allowed calls that somebody should look at"),
    "review": ("review", "say whether an allowed call was right or wrong, signed"),
    "failures": ("failures", "how often each kind of failure was found, and what each is"),
    "incidents": ("incidents", "what people were told of; say whether it was real, signed"),
    "probes": ("probes", "check a file of probes; how probes went"),
    "sql": ("sql", "ask ClickHouse, reading only"),
    "replay": ("replay", "compute decisions again: as they were, or under another file"),
    "doctor": ("doctor", "look for what is missing or wrong, and say how to mend it"),
    "dashboards": ("dashboards", "publish the dashboards to a Grafana"),
    "registry": ("registry", "check, compare, publish or suggest the agents' files"),
    "keys": ("keys", "make keys and credentials, rotate what signs"),
    "setup": ("setup", "keys, topics, tables and registry on the configured cluster"),
    "worker": ("worker", "join and detect (one process of the pipeline)"),
    "sink": ("sink", "write everything into ClickHouse (one process of the pipeline)"),
    "correlate": ("correlate", "incidents (one process of the pipeline)"),
    "alerts": ("alerts", "notify people (one process of the pipeline)"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No traceback unless TRACEFUSE_DEBUG is set."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in arguments if not word.startswith("-")), "")
    module = (
        importlib.import_module(f"dashboards.commands.{COMMANDS[name][0]}")
        if name in COMMANDS
        else None
    )
    options = _parser(name, module).parse_args(arguments)
    assert module is not None  # the parser ended us otherwise
    out = Output(as_json=options.json)
    if not logging.root.handlers:  # what libraries log of an error is said better below
        logging.root.addHandler(logging.NullHandler())
    settings = Settings()
    try:
        settings = runfile.addressed(os.environ)
        return int(module.run(options, settings, out))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("TRACEFUSE_DEBUG"):
            raise
        code, text = explain(error, settings)
        out.error(text, code)
        return code


def explain(error: Exception, settings: Settings) -> tuple[int, str]:
    """Exit code and one line for an error.

    >>> explain(ConfigError("key human.key: missing"), Settings())
    (2, 'key human.key: missing')
    >>> explain(ZeroDivisionError("division by zero"), Settings())
    (70, 'ZeroDivisionError: division by zero (a fault of ours; TRACEFUSE_DEBUG=1 shows where)')
    """
    if isinstance(error, ConfigError):
        return USAGE, str(error)
    if isinstance(error, TracefuseError):
        return NO, str(error)
    if _of("clickhouse_connect", error):
        return _store(error, settings)
    if _of("aiokafka", error) or isinstance(error, TimeoutError):
        return UNREACHABLE, f"Kafka {settings.bootstrap} does not answer; {START}"
    if isinstance(error, OSError):
        return UNREACHABLE, f"{error}; {START}"
    text = f"{type(error).__name__}: {error}"
    return FAULT, f"{text} (a fault of ours; TRACEFUSE_DEBUG=1 shows where)"


def _store(error: Exception, settings: Settings) -> tuple[int, str]:
    """ClickHouse's refusals are the caller's fault, and say so; the rest is the connection."""
    text = " ".join(str(error).split())
    if "DB::Exception: " in text:
        words = text.partition("DB::Exception: ")[2].partition(" Expected one of:")[0]
        return NO, f"ClickHouse: {words.partition(' (for url')[0]}"
    return UNREACHABLE, f"ClickHouse {settings.clickhouse} does not answer; {START}"


def _of(library: str, error: Exception) -> bool:
    return any(kind.__module__.startswith(library) for kind in type(error).__mro__)


def _parser(name: str, module: ModuleType | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tracefuse", description="The fuse box for AI agents.")
    parser.set_defaults(json=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, (_, text) in COMMANDS.items():
        added = commands.add_parser(command, help=text, description=text)
        if command == name and module is not None:
            added.add_argument("--json", action="store_true", help="output for programs")
            module.arguments(added)
    return parser


if __name__ == "__main__":
    sys.exit(main())
