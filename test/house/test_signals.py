"""A node's executable ends in good order on SIGINT and SIGTERM from its first instant on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM]

IMPORTING = """
import threading
print("importing", flush=True)
threading.Event().wait()
"""
RUNNING = """
import signal
def main():
    print("running", flush=True)
    print(signal.sigwait([signal.SIGINT, signal.SIGTERM]).name, flush=True)
    return 0
"""


def started(folder: Path, program: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A node of this program, begun by the command before it."""
    (folder / "slow_node.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"}
    command = [*before, sys.executable, "-m", "uav_twin_migration.nodes.start", "slow_node:main"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("stop", SIGNALS)
@pytest.mark.parametrize("program", [IMPORTING, RUNNING], ids=["importing", "running"])
def test_a_signal_ends_it_while_libraries_are_imported_and_is_the_nodes_after_that(
    tmp_path: Path, program: str, stop: signal.Signals
) -> None:
    process = started(tmp_path, program)
    assert process.stdout is not None
    assert process.stdout.readline() == ("importing\n" if program == IMPORTING else "running\n")
    process.send_signal(stop)
    assert process.communicate(timeout=60)[0] == ("" if program == IMPORTING else f"{stop.name}\n")
    assert process.returncode == 0


@pytest.mark.parametrize("stop", SIGNALS)
def test_a_signal_before_python_runs_a_line_ends_it(tmp_path: Path, stop: signal.Signals) -> None:
    """An installed script is begun by env, which has signals wait (CMakeLists.txt); here a shell sends itself one."""
    env = ("/usr/bin/env", "--block-signal=INT,TERM")
    process = started(tmp_path, IMPORTING, (*env, "sh", "-c", f'kill -{int(stop)} $$; exec "$@"', "sh"))
    process.communicate(timeout=60)
    assert process.returncode == 0
