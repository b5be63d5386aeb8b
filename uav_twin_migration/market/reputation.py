"""Which RSUs a UAV counts on: those that have granted it something, and still do.

A price tells nothing of whether its RSU will grant. So one that has granted this UAV nothing yet is on trial: beside
what the UAV buys of the others it is asked for a trifle, then for a little more (`TRIALS`), and then counted on. One
that then grants nothing has to begin anew: at once while it is new, after the third time in a row when it has granted
for long. Each disappointment doubles how often the next one that is new, whoever it is, must grant in each trial; a
long time without one halves it.

Where nobody grants, it is the UAV's own network, or all is slow: then nobody loses their name. Where nobody has one,
all are asked as if they had.
"""

from __future__ import annotations

import math
from typing import NamedTuple

STRIKES = 3  # bids in a row without a grant, of an RSU with
PROVEN = 8  # grants
NOTHING = 0.01  # of a bid: a grant of less is none
TRIALS = (0.001, 0.03)  # of what the UAV buys in all: what is asked of who is new, one after the other
MOST_TRIALS = 64
FORGIVEN = 256  # grants, of anybody, after which one disappointment is
MOST = 256  # RSUs that are remembered


class _Record(NamedTuple):
    trials: int = 0  # of TRIALS that it has stood
    grants: int = 0  # in a row, in this trial or since it is counted on
    strikes: int = 0  # in a row

    @property
    def counts(self) -> bool:
        return self.trials == len(TRIALS)


class Reputation:
    """What one UAV has seen of RSUs."""

    def __init__(self) -> None:
        self.disappointments = 0
        self._records: dict[str, _Record] = {}  # the newest last
        self._granted_at = -math.inf  # s, by anybody
        self._granted = 0  # since the last disappointment that was forgiven

    def on_grant(self, now: float, rsu: str, share: float, bid: float, part: float = 1.0) -> None:
        """An RSU granted `share` MHz for a bid of `bid`, which was this part of all that the UAV asked for then."""
        if share <= NOTHING * bid:
            return
        self._granted_at = now
        record = self._records.get(rsu, _Record())
        grants = record.grants + 1
        needed = min(2**self.disappointments, MOST_TRIALS)
        stood = record.trials + 1 if part < TRIALS[-1] else len(TRIALS)
        passed = not record.counts and grants >= needed
        self._note(rsu, _Record(stood) if passed else _Record(record.trials, grants))
        self._granted += 1
        if self._granted >= FORGIVEN:
            self._granted, self.disappointments = 0, max(self.disappointments - 1, 0)

    def on_nothing(self, rsu: str, asked_at: float) -> None:
        """An RSU has granted nothing for a bid, made at `asked_at` s, and posts anew."""
        if self._granted_at < asked_at:
            return
        trials, grants, strikes = self._records.get(rsu, _Record())
        if trials == 0:
            self._note(rsu, _Record(strikes=min(strikes + 1, STRIKES)))
        elif trials == len(TRIALS) and grants >= PROVEN and strikes + 1 < STRIKES:
            self._note(rsu, _Record(trials, grants, strikes + 1))
        else:
            self._note(rsu, _Record(strikes=strikes + 1))
            self.disappointments += 1

    def counts_on(self, rsu: str) -> bool:
        """Whether an RSU is known to grant."""
        return self._records.get(rsu, _Record()).counts

    def trial(self, rsu: str) -> float:
        """What part of all that the UAV buys to ask of an RSU on which it does not count."""
        return TRIALS[min(self._records.get(rsu, _Record()).trials, len(TRIALS) - 1)]

    def strikes(self, rsu: str) -> int:
        """How often in a row it has granted nothing lately."""
        return self._records.get(rsu, _Record()).strikes

    def jump(self, now: float) -> None:
        """The clock jumped back."""
        self._granted_at = min(self._granted_at, now)

    def _note(self, rsu: str, record: _Record) -> None:
        self._records.pop(rsu, None)
        self._records[rsu] = record
        if len(self._records) > MOST:
            del self._records[next(iter(self._records))]
