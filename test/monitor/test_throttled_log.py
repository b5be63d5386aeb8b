"""Log lines about what repeats: few, with counts, and none is lost."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.market.messages import Refusal
from uav_twin_migration.monitor.hints import OTHERWISE, hint
from uav_twin_migration.monitor.throttled_log import (
    FIRST_PAUSE,
    FORGOTTEN,
    MOST_KINDS,
    ThrottledLog,
)


class Log:
    """A log with a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.throttled_log = ThrottledLog(self.lines.append, lambda: self.now)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.throttled_log.tick()


def test_the_first_is_said_at_once_and_the_rest_with_counts_and_the_end() -> None:
    log = Log()
    log.throttled_log.note("refused", "by north")
    assert log.lines == ["refused: by north"]
    for _ in range(500):
        log.throttled_log.note("refused", "by south")
    assert len(log.lines) == 1
    log.pass_time(FIRST_PAUSE)
    assert log.lines[1:] == ["refused, 500 times more in 60 s: by south"]
    log.pass_time(2.0 * FIRST_PAUSE)
    assert log.lines[2:] == ["refused: no more, for 2 min now"]
    log.pass_time(FORGOTTEN)
    assert len(log.lines) == 3
    log.throttled_log.note("refused", count=7)
    assert log.lines[3:] == ["refused, 7 times"]  # long ago counts as never


def test_good_news_have_no_end() -> None:
    log = Log()
    log.throttled_log = ThrottledLog(log.lines.append, lambda: log.now, ends=False)
    for _ in range(3):
        log.throttled_log.note("found", "a host")
        log.pass_time(FIRST_PAUSE)
    log.pass_time(2.0 * FORGOTTEN)
    assert not any("no more" in line for line in log.lines)


def test_what_happens_once_is_said_once() -> None:
    log = Log()
    log.throttled_log.note("ended", "exit code 1")
    log.pass_time(2.0 * FORGOTTEN)
    assert log.lines == ["ended: exit code 1"]


def test_a_day_of_it_is_some_thirty_lines() -> None:
    log = Log()
    for _ in range(24 * 3600):
        log.throttled_log.note("overdue")
        log.pass_time(1.0)
    assert len(log.lines) < 32


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 1000), st.integers(0, 200)), max_size=40))
def test_every_one_is_counted_in_some_line(events: list[tuple[str, int, int]]) -> None:
    log = Log()
    for what, count, pause in events:
        log.throttled_log.note(what, count=count)
        log.pass_time(pause)
    log.pass_time(FORGOTTEN - 1.0)
    said = dict.fromkeys("abc", 0)
    for line in log.lines:
        if "no more" not in line:
            found = re.search(r"(\d+) times", line)
            said[line[0]] += int(found.group(1)) if found else 1
    assert said == {what: sum(count for one, count, _ in events if one == what) for what in "abc"}


def test_a_sender_can_neither_write_lines_nor_fill_the_memory() -> None:
    log = Log()
    log.throttled_log.note("refused", "x\n[ERROR] all is lost\x1b[2J" + "y" * 100_000)
    assert "\n" not in log.lines[0]
    assert "\x1b" not in log.lines[0]
    assert len(log.lines[0]) < 400
    for number in range(10 * MOST_KINDS):
        log.throttled_log.note(f"thing {number}")
    assert len(log.lines) <= MOST_KINDS + 1
    log.pass_time(FIRST_PAUSE)
    assert re.search(r"more things than can be told apart, \d+ times more", log.lines[-1])


def test_every_reason_of_the_market_has_its_hint() -> None:
    assert all(hint(reason.value) != OTHERWISE for reason in Refusal)
