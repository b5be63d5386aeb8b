"""Sets a checkout up and runs a command in it: what `./uavtwin` is. Runs before anything is installed.

What is wrong with the command line, and `--help`, is said at once; what else a command needs is in `environment.py`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = (3, 10)


def main() -> int:
    """Say what is wrong with the command line, or set up and become the command."""
    if sys.version_info < OLDEST_PYTHON:
        print(f"uavtwin: Python {sys.version.split()[0]} is too old: 3.10 or newer is needed", file=sys.stderr)
        return 1
    arguments = sys.argv[1:]
    sys.path.insert(0, str(CHECKOUT))
    from uav_twin_migration.cli.commands import needed
    from uav_twin_migration.cli.environment import Needs, set_up
    from uav_twin_migration.cli.main import parse
    from uav_twin_migration.cli.steps import SetupError

    command, parsed = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        environment = set_up(Needs(*needed(command, parsed)))
        environment.hold()
    except SetupError as error:
        print(f"uavtwin: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"uavtwin: set-up failed: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nuavtwin: set-up interrupted; it goes on where it was next time", file=sys.stderr)
        return 130
    python = str(environment.python)
    os.execve(python, [python, "-m", "uav_twin_migration.cli", *arguments], environment.variables())


if __name__ == "__main__":
    sys.exit(main())
