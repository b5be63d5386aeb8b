"""Which UAVs an RSU has to do with: ids, and patterns of ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

_WILD = frozenset("*?[")


class Admitted:
    """Ids and patterns as a shell has them; however many there are, an id is looked up, and only patterns are tried."""

    def __init__(self, patterns: Iterable[str]) -> None:
        given = list(patterns)
        wild = [one for one in given if not _WILD.isdisjoint(one)]
        self._ids = frozenset(given) - frozenset(wild)
        self._patterns = [re.compile(translate(one)) for one in wild]

    def __contains__(self, uav: str) -> bool:
        return uav in self._ids or any(pattern.match(uav) is not None for pattern in self._patterns)
