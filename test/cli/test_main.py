"""The command line before anything is installed: help, what is wrong with it, completion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from uav_twin_migration import __version__
from uav_twin_migration.cli.commands import COMMANDS

CHECKOUT = Path(__file__).resolve().parents[2]
BARE = [sys.executable, "-I", "-S", "-c"]  # no site-packages: the standard library alone
SCRIPT = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from uav_twin_migration.cli.main import main; "


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`uavtwin ...` with nothing installed."""
    return subprocess.run(
        [*BARE, SCRIPT + f"sys.exit(main({list(arguments)!r}))"], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_needs_nothing_installed(command: str) -> None:
    told = bare(command, "--help")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"usage: uavtwin {command}")


def test_version_and_the_list_of_commands_need_nothing_installed() -> None:
    assert bare("--version").stdout == f"{__version__}\n"
    listed = bare("--help").stdout
    assert all(f"\n  {command} " in listed for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sym"], "uavtwin: unknown command 'sym'; did you mean 'sim'?"),
        (["nonsense"], "uavtwin: unknown command 'nonsense'; uavtwin --help lists them"),
        (["--verison"], "uavtwin: unknown option '--verison'; did you mean '--version'?"),
        (["sim", "--durration", "3"], "uavtwin sim: unknown option '--durration'; did you mean '--duration'?"),
        (["sim", "--durration=3"], "uavtwin sim: unknown option '--durration'; did you mean '--duration'?"),
        (["sim", "small", "large"], "uavtwin sim: got 'large', expected nothing more; --help tells the arguments"),
        (["bag", "inof", "x"], "uavtwin bag: action: got 'inof', expected one of info, repair; did you mean 'info'?"),
        (["solve", "--at", "soon"], "uavtwin solve: --at: got 'soon', expected a number"),
        (["sim", "--seed", "abc"], "uavtwin sim: --seed: got 'abc', expected a whole number"),
        (["keys"], "uavtwin keys: the following arguments are required: DIR"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], said: str) -> None:
    told = bare(*arguments)
    assert told.returncode == 2
    assert told.stderr.startswith(said)
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["so"], {"solve"}),
        (["bag", ""], {"info", "repair"}),
        (["rsu", "init", "--rm"], {"--rmw"}),
        (["world", "small", "--gazebo", ""], {"sim", "classic"}),
    ],
)
def test_completion(words: list[str], offered: set[str]) -> None:
    assert set(bare("--complete", *words).stdout.split()) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_completion_script(shell: str) -> None:
    assert "--complete" in bare("completion", shell).stdout
    assert bare("completion", "tcsh").returncode == 2


def test_bash_completes() -> None:
    script = (
        f'cd {CHECKOUT} && source <("$0" -I -S -c "$1" completion bash) && '
        'COMP_WORDS=(uavtwin wor) COMP_CWORD=1 && uavtwin() { "$0" -I -S -c "$2" "$@"; } && declare -F _uavtwin'
    )
    run = SCRIPT + "sys.exit(main(sys.argv[1:]))"
    told = subprocess.run(["bash", "-c", script, sys.executable, run], capture_output=True, text=True)
    assert told.stdout.strip() == "_uavtwin", told.stderr
