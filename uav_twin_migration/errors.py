"""Errors that people see: what is wrong, where, and what was expected."""

from __future__ import annotations


class UavTwinError(Exception):
    """Something failed; the message says what and what to do. The command line exits with 1.

    may_pass: whether it may be gone later though nobody changes a setting, as a port that is taken.
    """

    may_pass = False


class InputError(UavTwinError):
    """Bad input: names the source (file or topic), the key, the value and what was expected.

    The command line prints it as one line and exits with 2.
    """

    def __init__(self, source: str, key: str, value: object, expected: str) -> None:
        self.source, self.key, self.value, self.expected = source, key, value, expected
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{source}: {key}: got {shown}, expected {expected}")
