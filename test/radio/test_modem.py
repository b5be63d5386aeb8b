"""Modems' answers and logs to link quality; the answers are those of 3GPP TS 27.007 (8.69, 10.1.22, 10.1.47)."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uav_twin_migration.radio.link import HIGHEST_EFFICIENCY, spectral_efficiency
from uav_twin_migration.radio.modem import (
    ANSWER_WITHIN,
    LONGEST_LINE,
    NO_LINK,
    Dialogue,
    Log,
    Reading,
    Receiver,
    cell_of,
    quality,
    quality_of,
)

HERE = Receiver()


def test_sinr_goes_before_rate_and_rate_before_rsrp() -> None:
    assert quality(Reading("A", -80.0, 10.0, 5.0), HERE).efficiency == pytest.approx(spectral_efficiency(10.0, 3.0))
    assert quality(Reading("A", -80.0, math.nan, 50.0), HERE).efficiency == 2.5
    # noise in 15 kHz: -174 + 41.76 + 9 = -123.24 dBm
    assert quality(Reading("A", -113.24), HERE).snr == pytest.approx(10.0, abs=0.01)
    assert quality(Reading("A"), HERE) == NO_LINK
    assert quality(Reading("A", rate=0.0), HERE) == NO_LINK


@given(st.floats(-160, 0), st.floats(-40, 60), st.floats(0, 1e6))
def test_a_quality_is_finite_and_within_bounds(rsrp: float, sinr: float, rate: float) -> None:
    for reading in (Reading("A", rsrp), Reading("A", sinr=sinr), Reading("A", rate=rate)):
        found = quality(reading, HERE)
        assert math.isfinite(found.snr)
        assert 0.0 <= found.efficiency <= HIGHEST_EFFICIENCY
        assert 0.0 <= found.loss <= 1.0


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ('+CEREG: 2,1,"2F0A","01A2B3C4",7', "01A2B3C4"),
        ('+C5GREG: 2,5,"00D2F0","000fa1b2c",11', "000FA1B2C"),
        ("+CEREG: 2,1,2F0A,1A2B3C4,7", "1A2B3C4"),
        ("+CEREG: 2,2", ""),
        ('+CEREG: 2,3,"2F0A","01A2B3C4",7', ""),  # registration denied
        ("OK", ""),
    ],
)
def test_the_cell_is_told_where_the_modem_is_registered(line: str, cell: str) -> None:
    assert cell_of(line) == cell


@pytest.mark.parametrize(
    ("line", "rsrp", "sinr"),
    [
        ("+CESQ: 99,99,255,255,20,54", -87.0, math.nan),  # LTE
        ("+CESQ: 99,99,255,255,255,255,75,70,87", -87.0, 20.0),  # 5G
        ("+CESQ: 99,99,255,255,20,54,255,255,255", -87.0, math.nan),
        ("+CESQ: 99,99,255,255,255,255", math.nan, math.nan),
    ],
)
def test_cesq_is_read_by_its_tables(line: str, rsrp: float, sinr: float) -> None:
    found = quality_of(line, "A")
    assert found is not None
    assert (found.rsrp, found.sinr) == pytest.approx((rsrp, sinr), nan_ok=True)


def test_a_dialogue_asks_one_thing_at_a_time_and_goes_round() -> None:
    modem, said = Dialogue(0.5), []
    answers = {
        "AT+CEREG?": b'\r\n+CEREG: 2,1,"2F0A","01A2B3C4",7\r\n\r\nOK\r\n',
        "AT+C5GREG?": b"\r\n+CME ERROR: 4\r\n",
        "AT+CESQ": b"\r\n+CESQ: 99,99,255,255,20,54\r\n\r\nOK\r\n",
    }
    heard = []
    for step in range(200):
        asked = modem.ask(step * 0.05)
        if asked:
            assert modem.ask(step * 0.05) == b""  # an answer is awaited
            said.append(asked.decode().strip())
            data = answers.get(said[-1], b"\r\nOK\r\n")
            heard += modem.hear(data[:7]) + modem.hear(data[7:])
    assert said[:6] == ["ATE0", "AT+CEREG=2", "AT+C5GREG=2", "AT+CEREG?", "AT+C5GREG?", "AT+CESQ"]
    assert len(heard) > 5
    assert {one.cell for one in heard} == {"01A2B3C4"}
    assert not modem.refused["error"]


def test_a_modem_that_is_silent_is_asked_again_and_counted() -> None:
    modem = Dialogue(0.5)
    assert modem.ask(0.0) == b"ATE0\r"
    assert modem.ask(ANSWER_WITHIN / 2) == b""
    assert modem.ask(ANSWER_WITHIN) == b"AT+CEREG=2\r"
    assert modem.refused == {"unanswered": 1}


def test_a_modem_without_a_cell_tells_of_no_link() -> None:
    modem = Dialogue(0.5)
    for _ in range(6):
        modem.ask(0.0)
        found = modem.hear(b"+CEREG: 2,2\r\n+CESQ: 99,99,255,255,20,54\r\nOK\r\n")
        assert found == []


@given(st.lists(st.binary(max_size=200), max_size=30))
@example([b"\0\r", b"\0\n"])
def test_noise_on_the_line_does_nothing_and_fills_nothing(pieces: list[bytes]) -> None:
    modem, log = Dialogue(0.5), Log()
    for number, piece in enumerate(pieces):
        modem.ask(float(number))
        modem.hear(piece)
        log.hear(piece)
    modem.hear(b"x" * 10 * LONGEST_LINE)
    assert len(modem._buffer) <= LONGEST_LINE
    assert modem.refused["too_long"] >= 1


def test_a_log_is_read_as_it_grows() -> None:
    log = Log()
    assert log.hear(b"time,cell_id,SINR,RSRP\n0.0,a1,14.5,-8") == []
    first, second = log.hear(b"8\n0.5,A1,-3,\n")
    assert first == Reading("A1", -88.0, 14.5)
    assert (second.cell, second.sinr) == ("A1", -3.0)
    assert math.isnan(second.rsrp)
    assert log.hear(b"1.0,A1,high,-88\n1.5,,3,4\n2.0,A1,99,\n") == []
    assert log.refused == {"no_reading": 3}
