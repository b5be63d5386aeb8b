"""What real nodes write into their logs: every change of state, every reason of refusal, and nothing each round."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from uav_twin_migration.msg import BandwidthDemand, PriceOffer

from test.ros.conftest import PATIENCE, RSU, UAV, Probe, Processes
from test.ros.forge import Forked
from uav_twin_migration.monitor.throttled_log import FIRST_PAUSE
from uav_twin_migration.nodes.ros import json_logs

FLOOD = 3000  # bad demands


def log_of(process: Forked) -> list[str]:
    """All lines of a process, which is ended for it."""
    process.terminate()
    out, errors = process.communicate(timeout=PATIENCE)
    return [*out.splitlines(), *errors.splitlines()]


def test_a_flood_of_bad_input_is_a_few_lines_with_reason_sender_count_and_hint(
    processes: Processes, probe: Probe
) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU)
    sent = 0

    def flood(offer: PriceOffer) -> None:
        nonlocal sent
        for _ in range(200):
            probe.demand("unknown_rsu", offer.round, 1.0)
            probe.demand("uav_1", 1, 1.0)
            probe.demand("\nall is lost", offer.round, 1.0)
            probe.demand_publisher.publish(BandwidthDemand(uav_ids=["uav_2"]))
            sent += 4

    probe.on_offer = flood
    began = time.monotonic()
    probe.wait_for(lambda: sum(probe.refused().values()) >= FLOOD, "refusals of a flood", patience=120.0)
    reasons = probe.refused()
    lines = log_of(rsu)
    most = 2 + int((time.monotonic() - began) / FIRST_PAUSE)  # at once, with the first counts, and after each pause
    assert {"unknown_uav", "past_round", "bad_id", "length_mismatch"} <= reasons.keys()
    for reason in reasons:
        about = [line for line in lines if f"refused, {reason}" in line]
        assert 1 <= len(about) <= most, (reason, lines)
    (unknown_rsu, *_) = (line for line in lines if "refused, unknown_uav" in line)
    assert "times" in unknown_rsu
    assert "'unknown_rsu'" in unknown_rsu
    assert "admitted_uavs" in unknown_rsu
    assert len(lines) <= most * len(reasons) + 3, lines
    assert not any(line.startswith("all is lost") for line in lines)


def test_a_quiet_market_logs_its_changes_of_state_and_no_line_a_round(processes: Processes, probe: Probe) -> None:
    probe.fly()
    quick = {"round_period": 0.2, "offer_window": 0.15}
    rsu = processes.start("rsu", "/rsu/rsu_0", **{**RSU, **quick})
    uav = processes.start("uav", "/uav/uav_0", **{**UAV, "round_period": 0.2, "twin": False})
    probe.wait_for(lambda: len(probe.offers) >= 30, "thirty rounds")
    probe.wait_for(lambda: sum(bool(grant.uav_ids) for grant in probe.grants) >= 10, "ten that the UAV took part in")
    said = log_of(rsu), log_of(uav)
    assert any("RSU rsu_0 sells up to 10 MHz" in line for line in said[0])
    assert any("ends; it hosts no twins" in line for line in said[0])
    assert all(len(lines) <= 6 for lines in said), said


def test_a_uav_says_once_that_it_hears_no_rsu_and_once_that_it_does_again(processes: Processes, probe: Probe) -> None:
    probe.fly()
    uav = processes.start("uav", "/uav/uav_0", **{**UAV, "twin": False})
    lines: list[str] = []

    def read_lines() -> None:
        assert uav.stderr is not None  # it is a pipe
        for line in uav.stderr:
            lines.append(line)

    threading.Thread(target=read_lines, daemon=True).start()
    probe.wait_for(lambda: lines, "a line in the log")
    assert "hears no offer any more" in lines[0]
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    probe.wait_for(lambda: len(lines) > 1, "another line")
    assert "hears offers again" in lines[1]


def test_a_home_folder_that_takes_no_logs_stops_no_node(
    processes: Processes, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.touch()  # a file, in which nobody, not even root, can make a folder
    monkeypatch.setenv("HOME", str(home))
    for name in ("ROS_LOG_DIR", "ROS_HOME"):
        monkeypatch.delenv(name, raising=False)
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    probe.wait_for(lambda: probe.offers, "an offer")


def test_logs_as_json() -> None:
    said = f'{json_logs.START}INFO\x1f1790000000.25\x1frsu.north\x1fa "quoted" word'
    assert json.loads(json_logs.as_json(said, 0.0)) == {
        "time": 1790000000.25,
        "level": "info",
        "node": "rsu.north",
        "message": 'a "quoted" word',
    }
    for other in ("Traceback (most recent call last):", "\x1ehalf", "\x1ea\x1fb\x1fc\x1fd"):
        assert json.loads(json_logs.as_json(other, 5.0)) == {"time": 5.0, "level": "info", "message": other}
