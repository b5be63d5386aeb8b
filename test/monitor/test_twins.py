"""What users and the monitor see of twins."""

from __future__ import annotations

from uav_twin_migration.monitor.twins import (
    OVERLAP,
    UNSERVED,
    Report,
    State,
    TwinMonitor,
)

HERE = (0.0, 0.0, 100.0)


def state(rsu: str, epoch: int, stamp: float = 0.0) -> State:
    """A twin 3 m off its UAV."""
    return State("uav", rsu, epoch, stamp, (3.0, 0.0, 100.0))


def test_a_handover_and_its_silence() -> None:
    monitor = TwinMonitor()
    monitor.on_state(1.0, state("a", 5, 0.9), HERE)
    monitor.on_state(1.1, state("a", 5, 1.0), HERE)
    monitor.on_state(1.15, state("b", 6, 1.1), HERE)
    monitor.sample(1.35)
    summary = monitor.summary()
    assert monitor.host_of("uav") == "b"
    assert monitor.handovers == [(1.15, "uav", "a", "b")]
    assert round(summary["silence_ms"]["mean"]) == 50
    assert round(summary["age_of_information_ms"]["mean"]) == 250
    assert summary["twin_error_m"] == {"mean": 3.0, "p95": 3.0}
    assert (summary["twins_lost"], summary["twins_duplicated"]) == (0, 0)


def test_two_hosts_of_one_twin_are_noticed() -> None:
    for late in (state("a", 5), state("c", 6)):
        monitor = TwinMonitor()
        monitor.on_state(1.0, state("a", 5), HERE)
        monitor.on_state(1.1, state("b", 6), HERE)
        monitor.on_state(1.2 + OVERLAP, late, HERE)
        assert monitor.summary()["twins_duplicated"] == 1


def test_a_state_that_was_under_way_is_no_second_host() -> None:
    monitor = TwinMonitor()
    monitor.on_state(1.0, state("a", 5), HERE)
    monitor.on_state(1.1, state("b", 6), HERE)
    monitor.on_state(1.11, state("a", 5), HERE)
    assert monitor.summary()["twins_duplicated"] == 0
    assert monitor.host_of("uav") == "b"


def test_a_twin_that_begins_anew_is_lost_unless_it_is_the_first_time() -> None:
    monitor = TwinMonitor()
    monitor.on_begun_anew("uav", 5)
    assert monitor.summary()["twins_lost"] == 0
    monitor.on_state(1.0, state("a", 5), HERE)
    monitor.on_begun_anew("uav", 5)  # said again
    assert monitor.summary()["twins_lost"] == 0
    monitor.on_begun_anew("uav", 9)
    assert monitor.summary()["twins_lost"] == 1
    assert not monitor.is_flawless


def test_of_several_slow_rsus_that_begin_a_twin_none_loses_what_never_was_served() -> None:
    monitor = TwinMonitor()
    monitor.on_begun_anew("uav", 5)
    monitor.on_begun_anew("uav", 9)  # asked when the first had not answered
    monitor.on_state(1.0, state("b", 9), HERE)
    assert monitor.summary()["twins_lost"] == 0


def test_a_loss_is_seen_in_whatever_order_it_is_heard_of() -> None:
    monitor = TwinMonitor()
    monitor.on_begun_anew("uav", 5)
    monitor.on_begun_anew("uav", 9)
    monitor.on_state(1.0, state("a", 5), HERE)  # served after all, before the other began
    assert monitor.summary()["twins_lost"] == 1


def test_a_reply_that_its_hosting_overtakes_tells_of_no_loss() -> None:
    monitor = TwinMonitor()
    monitor.on_state(1.0, state("a", 5), HERE)
    monitor.on_begun_anew("uav", 5)
    assert monitor.summary()["twins_lost"] == 0


def test_a_twin_that_is_unserved_at_the_end_is_counted() -> None:
    monitor = TwinMonitor()
    monitor.on_state(1.0, state("a", 5), HERE)
    monitor.on_state(5.0, state("a", 5, 4.0), HERE)
    monitor.sample(6.0)
    assert monitor.is_flawless
    assert monitor.summary()["longest_silence_s"] == 4.0
    monitor.sample(5.0 + UNSERVED + 1.0)
    assert monitor.summary()["twins_unserved"] == 1
    assert monitor.summary()["longest_silence_s"] == UNSERVED + 1.0
    assert not monitor.is_flawless


def test_a_version_that_falls_within_a_hosting_is_a_store_that_was_restored() -> None:
    monitor = TwinMonitor()
    for epoch, rsu, version in ((5, "a", 896), (6, "b", 890), (6, "b", 900), (5, "a", 896), (6, "b", 901)):
        monitor.on_version("uav", rsu, epoch, version)
    assert monitor.is_flawless
    monitor.on_version("uav", "b", 6, 860)
    assert monitor.summary()["versions_fallen"] == 1
    assert not monitor.is_flawless


def test_migrations() -> None:
    monitor = TwinMonitor()
    monitor.on_report(Report("uav", "a", "b", "", 4.0, 0.02, 10.0, 9.0))
    monitor.on_report(Report("uav", "b", "a", "full", 0.1, 0.0, 0.0, 0.0))
    summary = monitor.summary()
    assert (summary["migrations_completed"], summary["migrations_failed"]) == (1, 1)
    assert summary["failed_because"] == {"full": 1}
    assert summary["age_of_migration_s"]["mean"] == 4.0
    assert round(summary["downtime_ms"]["mean"]) == 20
    assert summary["achieved_of_granted_rate"]["mean"] == 0.9
