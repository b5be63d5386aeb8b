"""Link quality as a modem tells it: AT commands and logs to readings, readings to spectral efficiency; no I/O.

What a modem measures, and what an efficiency is made of it, the first that is known:

    SINR, dB          as of the link model: log2(1 + SINR / L), within the bounds of TS 38.214, Table 5.1.3.1-2
    rate, Mbit/s      over the bandwidth that carried it, no more than the highest of that table
    RSRP, dBm         power of one resource element (TS 38.215, 5.1.1) over the noise in its subcarrier: an SNR, which
                      knows of no interference

AT commands are those of 3GPP TS 27.007: +CESQ (8.69) for RSRP and SINR of the serving cell, +CEREG, +C5GREG (10.1.22
and 10.1.47) for which cell that is. Modems of all makes know them.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from uav_twin_migration.radio.link import HIGHEST_EFFICIENCY, LOWEST_EFFICIENCY, THERMAL_NOISE, carried
from uav_twin_migration.scenario.model import RadioParameters

ANSWER_WITHIN = 2.0  # s, after which a command counts as unanswered
LONGEST_LINE = 512  # bytes
UNKNOWN = 255  # of +CESQ's values
RSRP, SINR, RATE = (-160.0, 0.0), (-40.0, 60.0), (0.0, 1e6)  # dBm, dB, Mbit/s: beyond, a reading is none

BEGIN = ("ATE0", "AT+CEREG=2", "AT+C5GREG=2")  # no echo; tell cells' identities when asked
ASK = ("AT+CEREG?", "AT+C5GREG?", "AT+CESQ")
_CELL = re.compile(r"\+C(?:5G|E)REG: *\d+, *([15]) *, *\"?[0-9A-Fa-f]*\"?, *\"?([0-9A-Fa-f]+)\"?")  # 1, 5: registered
_QUALITY = re.compile(r"\+CESQ: *(\d+(?: *, *\d+){5,8})")


class Reading(NamedTuple):
    """What a modem says of its link to a cell; NaN for what it does not say."""

    cell: str  # its identity, as the modem writes it, in upper case
    rsrp: float = math.nan  # dBm
    sinr: float = math.nan  # dB
    rate: float = math.nan  # Mbit/s


class Receiver(NamedTuple):
    """What a reading is judged by."""

    noise_figure: float = 9.0  # dB
    subcarrier: float = 15.0  # kHz: of LTE; of 5G often 30
    bandwidth: float = 20.0  # MHz, that carried a rate
    implementation_loss: float = 3.0  # dB


class Quality(NamedTuple):
    """A link's quality, as LinkQuality has it."""

    snr: float  # dB
    efficiency: float  # bit/s/Hz
    loss: float  # share of packets lost


NO_LINK = Quality(-100.0, 0.0, 1.0)


def quality(reading: Reading, receiver: Receiver) -> Quality:
    """The quality of a link by what is known of it; `NO_LINK` where nothing is."""
    ratio = reading.sinr
    if math.isnan(ratio) and math.isnan(reading.rate) and not math.isnan(reading.rsrp):
        noise = THERMAL_NOISE + 10 * math.log10(receiver.subcarrier * 1e3) + receiver.noise_figure
        ratio = reading.rsrp - noise
    if not math.isnan(ratio):
        radio = RadioParameters(implementation_loss=receiver.implementation_loss)
        efficiency, loss = carried(radio, ratio, True, True)
        return Quality(ratio, float(efficiency), float(loss))
    if math.isnan(reading.rate) or reading.rate / receiver.bandwidth < LOWEST_EFFICIENCY:
        return NO_LINK
    efficiency_of_rate = min(reading.rate / receiver.bandwidth, HIGHEST_EFFICIENCY)
    return Quality(10 * math.log10(2**efficiency_of_rate - 1) + receiver.implementation_loss, efficiency_of_rate, 0.0)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return value if bounds[0] <= value <= bounds[1] else math.nan


# --- AT commands ----------------------------------------------------------------------------------------------------


def cell_of(line: str) -> str:
    """The cell's identity in an answer to +CEREG? or +C5GREG?; empty where it is none, or there is no service."""
    found = _CELL.search(line[:LONGEST_LINE])
    return found[2].upper() if found else ""


def quality_of(line: str, cell: str) -> Reading | None:
    """The reading in an answer to +CESQ: of 5G where it has that, else of LTE; None where it is no such answer.

    Steps of 1 dBm from -141 (LTE) and -157 dBm (5G), of half a dB from -23.5 dB (TS 36.133, 9.1.4; TS 38.133, 10.1.6
    and 10.1.16).
    """
    found = _QUALITY.search(line[:LONGEST_LINE])
    if found is None:
        return None
    values = [int(word) for word in found[1].split(",")]
    lte, *nr = values[5:]
    power, ratio = (nr[1], nr[2]) if len(nr) == 3 else (UNKNOWN, UNKNOWN)
    sinr = ratio / 2 - 23.5 if ratio <= 127 else math.nan
    rsrp = power - 157.0 if power <= 126 else lte - 141.0 if lte <= 97 else math.nan
    return Reading(cell, _within(rsrp, RSRP), _within(sinr, SINR))


class Dialogue:
    """Asks a modem, a command at a time, round and round.

    Attributes:
        refused: lines that were too long, and commands that were answered by an error or not at all, by name.
    """

    def __init__(self, period: float) -> None:
        """period: s between two rounds of questions."""
        self.refused: Counter[str] = Counter()
        self._period = period
        self._waiting = list(BEGIN)
        self._asked, self._until, self._next_round = "", -math.inf, -math.inf
        self._buffer = b""
        self._cell = ""

    def ask(self, now: float) -> bytes:
        """What is to be sent now; nothing while an answer is awaited. now: s, of any clock."""
        if self._asked and now < self._until:
            return b""
        if self._asked:
            self.refused["unanswered"] += 1
        if not self._waiting:
            if now < self._next_round:
                self._asked = ""
                return b""
            self._next_round = now + self._period
            self._waiting = list(ASK)
            self._cell = ""
        self._asked, self._until = self._waiting.pop(0), now + ANSWER_WITHIN
        return f"{self._asked}\r".encode()

    def hear(self, data: bytes) -> list[Reading]:
        """Take what the modem has sent, in whatever pieces. Returns what it says of links."""
        found = []
        *lines, self._buffer = (self._buffer + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._buffer) > LONGEST_LINE:
            self.refused["too_long"] += 1
            self._buffer = b""
        for line in lines:
            reading = self._line(line.decode("ascii", "replace").strip())
            if reading is not None:
                found.append(reading)
        return found

    def _line(self, line: str) -> Reading | None:
        if line == "OK":
            self._asked = ""
        elif line == "ERROR" or line.startswith(("+CME ERROR", "+CMS ERROR")):
            if self._asked in ASK:
                self.refused["error"] += self._asked != "AT+C5GREG?"  # a modem without 5G does not know it
            self._asked = ""
        elif self._asked in ASK:
            self._cell = cell_of(line) or self._cell
            return quality_of(line, self._cell) if self._cell else None
        return None


# --- logs -----------------------------------------------------------------------------------------------------------

NAMES = {
    "cell": ("cell", "cell_id", "ci", "nci", "pci"),
    "rsrp": ("rsrp", "rsrp_dbm", "ss_rsrp"),
    "sinr": ("sinr", "sinr_db", "snr", "ss_sinr"),
    "rate": ("rate", "rate_mbps", "throughput", "mbps"),
}


class Log:
    """A log of comma-separated values as it is written: a first line of names, then a reading a line.

    Attributes:
        refused: lines that are no readings, by reason.
    """

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._columns: dict[str, int] = {}
        self._buffer = b""

    def hear(self, data: bytes) -> list[Reading]:
        """Take what was written, in whatever pieces. Returns the readings in it."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LONGEST_LINE:
            self.refused["too_long"] += 1
            self._buffer = b""
        return [
            one for line in lines if (one := self._line(line[:LONGEST_LINE].decode("utf-8", "replace"))) is not None
        ]

    def _line(self, line: str) -> Reading | None:
        try:
            words = next(csv.reader([line.strip()]), [])
        except csv.Error:  # of a carriage return within it, or with Python 3.10 of a NUL
            self.refused["no_reading"] += 1
            return None
        if not words:
            return None
        if not self._columns:
            names = [word.strip().lower() for word in words]
            places = {key: next((names.index(n) for n in some if n in names), -1) for key, some in NAMES.items()}
            self._columns = {key: place for key, place in places.items() if place >= 0}
            return None
        return self._reading(words)

    def _reading(self, words: Sequence[str]) -> Reading | None:
        told: dict[str, str] = {key: words[k].strip() for key, k in self._columns.items() if k < len(words)}
        try:
            numbers = {key: float(told[key]) for key in ("rsrp", "sinr", "rate") if told.get(key)}
        except ValueError:
            numbers = {}
        bounds = {"rsrp": RSRP, "sinr": SINR, "rate": RATE}
        known = {key: _within(value, bounds[key]) for key, value in numbers.items()}
        if not told.get("cell") or all(map(math.isnan, known.values())):
            self.refused["no_reading"] += 1
            return None
        return Reading(told["cell"].upper(), **known)
