"""`uavtwin`: parse, import the one command that was asked for, run it, turn errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from uav_twin_migration import __version__
from uav_twin_migration.cli import parser
from uav_twin_migration.cli.commands import COMMANDS, Command, missing_group, missing_libraries
from uav_twin_migration.errors import InputError, UavTwinError, missing_library

DONE, FAILED, BAD_INPUT = 0, 1, 2


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    lines.append(f"  {'completion':<{width}}  completion for a shell: source <(uavtwin completion bash)")
    return "\n".join(["usage: uavtwin COMMAND [options]", "", *lines, "", "uavtwin COMMAND --help tells the options."])


def parser_of(name: str) -> parser.Parser:
    """A command's parser. Needs only the standard library, as the commands' modules do until they run."""
    module = importlib.import_module(f"uav_twin_migration.cli.{COMMANDS[name].module}")
    made = parser.Parser(prog=f"uavtwin {name}", description=module.__doc__)
    module.add_arguments(made)
    return made


def parse(arguments: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The command's name and its arguments. What asks for no command, or is wrong, is answered here.

    Raises:
        SystemExit: it was answered.
    """
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(usage())
        sys.exit(DONE)
    if name == "--version":
        print(__version__)
        sys.exit(DONE)
    if name == "--complete":
        print("\n".join(completed(arguments[1:])))
        sys.exit(DONE)
    if name == "completion":
        sys.exit(parser.print_completion(arguments[1] if len(arguments) > 1 else ""))
    if name not in COMMANDS:
        hint = parser.did_you_mean(name, [*COMMANDS, "completion", "--help", "--version"])
        what = "option" if name.startswith("-") else "command"
        print(f"uavtwin: unknown {what} {name!r}{hint or '; uavtwin --help lists them'}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    return name, parser_of(name).parse_args(arguments[1:])


def completed(words: Sequence[str]) -> list[str]:
    """What may stand in place of the last of the words behind `uavtwin`."""
    *before, word = words or [""]
    if not before:
        return [name for name in (*COMMANDS, "completion", "--help", "--version") if name.startswith(word)]
    return parser.candidates(parser_of(before[0]), before[1:], word) if before[0] in COMMANDS else []


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 bad input."""
    name, args = parse(list(sys.argv[1:] if argv is None else argv))
    command = COMMANDS[name]
    try:
        require_ros(command, args)
        module = importlib.import_module(f"uav_twin_migration.cli.{command.module}")
        code = int(module.run(args))
        sys.stdout.flush()  # here, where it can still be told that the disk is full
        return code
    except InputError as error:
        print(f"uavtwin {name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except UavTwinError as error:
        print(f"uavtwin {name}: {error}", file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as error:
        group = missing_group(error.name or "")
        if group is None:
            raise
        print(f"uavtwin {name}: {missing_library('this needs', *missing_libraries(group))}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as `| head` does
        drop_output()
        return DONE
    except OSError as error:  # a full disk, mostly
        drop_output()
        print(f"uavtwin {name}: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130  # the shell's convention for a process that SIGINT ended


def drop_output() -> None:
    """Let nothing that is still to be written to standard output fail once more when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def require_ros(command: Command, args: argparse.Namespace) -> None:
    """Raises UavTwinError where the command needs the built ROS 2 package and there is none, as after `pip install`."""
    if command.needs_ros(args) and importlib.util.find_spec("uav_twin_migration.msg") is None:
        raise UavTwinError(
            "needs ROS 2 and this package's messages: use ./uavtwin in a checkout, or build it with colcon and source "
            "the workspace"
        )
