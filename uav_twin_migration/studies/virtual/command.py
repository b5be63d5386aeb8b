"""`uavtwin sim --virtual`: a run, what a person sees of it, and its summary."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.options import SIM, check
from uav_twin_migration.deployment.simulation import check_files, make_folder, warn
from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor.frames import Frame
from uav_twin_migration.monitor.html import page
from uav_twin_migration.monitor.server import PageServer
from uav_twin_migration.monitor.terminal import Display
from uav_twin_migration.output import write_text
from uav_twin_migration.scenario.examine import loaded
from uav_twin_migration.studies.virtual.city import City
from uav_twin_migration.studies.virtual.run import DURATION, run
from uav_twin_migration.twin.hosting.memory_store import IN_MEMORY

UNUSED = {"world", "gui", "px4_dir", "px4_link", "keys", "namespace", "foxglove", "ledgers", "hosts", "host"}
AS_QUICKLY = "1: virtual time passes as quickly as it can, but for who watches it (--view)"
REFRESH = 0.2  # s of wall time between two pictures


def simulate(values: Mapping[str, Any]) -> int:
    """Run it. values: of the command's options, by name. Returns the exit code; raises InputError."""
    refuse_unused(values)
    check(values)
    scenario = loaded(values["scenario"], warn)
    check_files(values, scenario)
    show = _Show(values)
    viewed = _Page(values, show.say) if values["view"] else None
    summary = run(
        scenario,
        values["seed"],
        values["duration"] or DURATION,
        values["policy"],
        values["twins"],
        values["exploration"],
        [one for one in values["faults"].split(";") if one.strip()],
        values["compose"],
        None,
        show.say,
        Path(values["record"]) if values["record"] else None,
        Path(values["learned"]) if values["learned"] else None,
        values["train"],
        viewed.show if viewed is not None else None,
        _stores(values["twin_stores"]),
        show.tick,
    )
    if viewed is not None:
        viewed.server.close()
    return show.finish(summary)


def _stores(folder: str) -> str:
    """Where RSUs keep twins. Raises InputError."""
    if not folder:
        return IN_MEMORY
    make_folder("twin_stores", Path(folder))
    if next(Path(folder).glob("*.db"), None) is not None:
        raise InputError("options", "twin_stores", folder, "a folder without stores: virtual time begins at 0 again")
    return str(Path(folder).resolve())


def refuse_unused(values: Mapping[str, Any]) -> None:
    """What virtual time has no use for is refused, not ignored. Raises InputError."""
    for option in SIM:
        if option.name in UNUSED and values[option.name] != option.default:
            raise InputError("options", option.name, values[option.name], "nothing with --virtual")
    if values["real_time_factor"] != 1.0 and not values["view"]:
        raise InputError("options", "real_time_factor", values["real_time_factor"], AS_QUICKLY)


class _Page:
    """The page of a city, at the pace of who watches: real time, or `real_time_factor` times as fast."""

    def __init__(self, values: Mapping[str, Any], say: Callable[[str], None]) -> None:
        """Raises InputError, UavTwinError."""
        self.server = PageServer(page(), values["view_address"], values["view_port"], values["view_token"])
        self._factor, self._began = values["real_time_factor"], time.monotonic()
        say(f"the city is at {self.server.url}")

    def show(self, city: City, frame: Frame) -> None:
        """Another frame, when it is time."""
        time.sleep(max(self._began + frame.time / self._factor - time.monotonic(), 0.0))
        self.server.show(city.listener.city.cast(), frame)


class _Show:
    """What a person sees."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._display: Display | None = None
        self._lines: list[str] = []  # that wait for a display
        self._shown = self._began = time.monotonic()
        self._flawless = True
        self._simulated = 0.0

    def say(self, line: str) -> None:
        """A line, once there is a display."""
        self._lines.append(line)

    def tick(self, city: City) -> None:
        """A simulated second has passed."""
        display = self._display or self._begin(city)
        while self._lines:
            display.say(self._lines.pop(0))
        self._flawless, self._simulated = city.listener.twins.is_flawless, city.air.clock
        if time.monotonic() > self._shown + REFRESH:
            self._shown = time.monotonic()
            display.update(city.air.clock)

    def _begin(self, city: City) -> Display:
        values, listener = self._values, city.listener
        out = sys.stderr if values["json"] == "-" else sys.stdout
        market = listener.market_of_scenario
        self._display = Display(market, listener.twins, out, values["plain"], values["verbose"])
        self._display.start(1, values["seed"])
        return self._display

    def finish(self, summary: Mapping[str, Any]) -> int:
        """The summary. Returns the exit code."""
        took = max(time.monotonic() - self._began, 1e-3)
        if self._display is not None:
            self._display.finish(dict(summary))
            self._display.say(f"{self._simulated:.0f} s in {took:.1f} s: {self._simulated / took:.0f} times real time")
        text = json.dumps(summary, indent=2)
        if self._values["json"] == "-":
            print(text, flush=True)
        elif self._values["json"]:
            write_text(self._values["json"], text + "\n")
        return 0 if self._flawless else 1
