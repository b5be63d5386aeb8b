"""The command line's parser: one line for what is wrong, with the nearest name where one was misspelt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

BAD_INPUT = 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'sim'?` where a known name is near, else nothing."""
    import difflib  # for mistakes alone

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def one_of(known: Iterable[str]) -> Callable[[str], str]:
    """An argument's type: one of the names. What is not is refused before anything is installed for it."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, expected one of {', '.join(known)}{did_you_mean(text, known)}"
            )
        return text

    return read


def number(low: float, high: float, expected: str) -> Callable[[str], float]:
    """An argument's type: a finite number in [low, high]. expected: what errors say it should be."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1.0
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
        return value

    return read


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes no abbreviations, and says in one line what it does not take."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As ArgumentParser does; exits with 2 and one line where something is wrong."""
        parsed, left = self.parse_known_args(args, namespace)
        if left:
            word = left[0].partition("=")[0]
            if word.startswith("-"):
                self.error(f"unknown option {word!r}{did_you_mean(word, options(self))}")
            self.error(f"got {word!r}, expected nothing more; --help tells the arguments")
        return parsed

    def error(self, message: str) -> NoReturn:
        """One line, and exit code 2."""
        self.exit(BAD_INPUT, f"{self.prog}: {message.removeprefix('argument ')}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Choices, in words that do not change with Python's version."""
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        hint = did_you_mean(str(value), names)
        raise argparse.ArgumentError(action, f"got {value!r}, expected one of {', '.join(names)}{hint}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """A wrong number, in the same words as every other refusal."""
        if action.type in (int, float):
            try:
                return action.type(arg_string)
            except ValueError:
                what = "a whole number" if action.type is int else "a number"
                raise argparse.ArgumentError(action, f"got {arg_string!r}, expected {what}") from None
        return super()._get_value(action, arg_string)


def verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """A parser's sub-commands by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options(parser: argparse.ArgumentParser) -> list[str]:
    """All options of a parser and of its sub-commands, the long names."""
    own = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    return [*own, *(name for verb in verbs(parser).values() for name in options(verb))]


def candidates(parser: argparse.ArgumentParser, before: Sequence[str], word: str) -> list[str]:
    """What may stand in place of `word`, the last one, after the words `before`: for completion. Empty: a file, say."""
    for name in before:
        if name in verbs(parser):
            return candidates(verbs(parser)[name], before[before.index(name) + 1 :], word)
    last = before[-1] if before else ""
    taking = next((action for action in parser._actions if last in action.option_strings and action.nargs != 0), None)
    if taking is not None:
        names = [str(choice) for choice in taking.choices or ()]
    elif word.startswith("-"):
        names = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    else:
        positional = [action for action in parser._actions if not action.option_strings and action.choices]
        names = [str(choice) for action in positional for choice in action.choices or ()]
    return [name for name in names if name.startswith(word)]


COMPLETIONS = {
    "bash": """\
_uavtwin() {
    local IFS=$'\\n'
    COMPREPLY=($("${COMP_WORDS[0]}" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _uavtwin uavtwin ./uavtwin
""",
    "zsh": """\
autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
_uavtwin() {
    COMPREPLY=(${(f)"$("${COMP_WORDS[1]}" --complete "${(@)COMP_WORDS[2,COMP_CWORD+1]}" 2>/dev/null)"})
}
complete -o default -F _uavtwin uavtwin ./uavtwin
""",
    "fish": """\
function __uavtwin
    set words (commandline -opc) (commandline -ct)
    $words[1] --complete $words[2..] 2>/dev/null
end
complete -c uavtwin -a '(__uavtwin)'
""",
}


def print_completion(shell: str) -> int:
    """A shell's completion script. Returns the exit code."""
    if shell not in COMPLETIONS:
        hint = f"got {shell!r}, expected one of {', '.join(COMPLETIONS)}"
        print(f"uavtwin completion: {hint}", file=sys.stderr)
        return BAD_INPUT
    print(COMPLETIONS[shell], end="")
    return 0
