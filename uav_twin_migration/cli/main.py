"""`uavtwin`: parse, import the one command that was asked for, run it, turn errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from uav_twin_migration import __version__
from uav_twin_migration.cli.commands import COMMANDS
from uav_twin_migration.errors import InputError, UavTwinError

DONE, FAILED, BAD_INPUT = 0, 1, 2


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: uavtwin COMMAND [options]", "", *lines, "", "uavtwin COMMAND --help tells the options."])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return DONE
    if arguments[0] == "--version":
        print(__version__)
        return DONE
    name = arguments[0]
    if name not in COMMANDS:
        print(f"uavtwin: {name!r} is no command; expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        return BAD_INPUT
    command = COMMANDS[name]
    module = importlib.import_module(f"uav_twin_migration.cli.{command.module}")
    parser = argparse.ArgumentParser(prog=f"uavtwin {name}", description=module.__doc__)
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(arguments[1:])))
    except InputError as error:
        print(f"uavtwin {name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except UavTwinError as error:
        print(f"uavtwin {name}: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as `| head` does
        return DONE
    except KeyboardInterrupt:
        return 130  # the shell's convention for a process that SIGINT ended
