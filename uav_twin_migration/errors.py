"""Errors that people see: what is wrong, where, and what was expected."""

from __future__ import annotations

import sys
from pathlib import Path


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


def missing_library(needs: str, *requirements: str) -> UavTwinError:
    """What to do about libraries that are not installed; `needs` is who needs them, as "recordings need"."""
    names = " and ".join(requirement.partition(">")[0] for requirement in requirements)
    library, which = ("library", "which is") if len(requirements) == 1 else ("libraries", "which are")
    quoted = " ".join(f"'{requirement}'" if ">" in requirement else requirement for requirement in requirements)
    where = " in a virtual environment (python3 -m venv --system-site-packages DIR)" if is_externally_managed() else ""
    return UavTwinError(f"{needs} the Python {library} {names}, {which} not installed: pip install {quoted}{where}")


def is_externally_managed() -> bool:
    """Whether pip refuses to install into this Python, which belongs to the system (PEP 668)."""
    import sysconfig  # only where something is missing: it takes longer than all else here

    return sys.prefix == sys.base_prefix and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()
