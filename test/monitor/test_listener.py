"""What is heard becomes frames, and nothing that is said can do harm."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.monitor import said
from uav_twin_migration.market.messages import LARGEST_PRICE
from uav_twin_migration.monitor.frames import NOBODY, cast_to_json, frame_to_json
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.scenario.generate import generate


def test_bids_count_in_the_region_of_their_rsu_alone() -> None:
    city = generate(2, 2)
    north, south = (replace(rsu, region=region) for rsu, region in zip(city.rsus, ("north", "south"), strict=True))
    listener = Listener(replace(city, rsus=(north, south)))
    columns = {"rsu_ids": [north.id, south.id], "rounds": [1, 1], "bandwidth": [2.0, 3.0]}
    demand = SimpleNamespace(uav_ids=[city.uavs[0].id] * 2, **columns)
    for region in ("north", "south"):
        listener.hear(0.0, f"/{region}/market/bandwidth_demands", "BandwidthDemand", demand)
    assert listener.market_of_scenario.demands == 2


def test_a_frame_says_where_everybody_is_and_who_serves_whom() -> None:
    listener = said.small_city()
    frame = listener.frame(0.6, sampled=True)
    assert frame.position[:, :2].tolist() == [[0.0, 20.0], [100.0, 20.0]]
    assert frame.host.tolist() == [0, 1]
    assert frame.age == pytest.approx([0.3, 0.3])
    assert np.linalg.norm(frame.position - frame.estimate, axis=1) == pytest.approx([5.0, 5.0])
    assert frame.sample is not None
    assert frame.sample.price.tolist() == [3.0, 4.0]
    assert frame.sample.twins.tolist() == [1, 1]
    assert frame.sample.spending[1] == pytest.approx(4.5)


def test_a_sample_is_what_the_summary_is_made_of() -> None:
    listener = said.small_city()
    sample = listener.frame(0.6, sampled=True).sample
    assert sample is not None
    summary = listener.summary()
    assert summary["mean_immersion"] == pytest.approx(sample.immersion.mean())
    assert summary["exploitability"] == pytest.approx(sample.exploitability)
    gap = np.abs(sample.price - sample.equilibrium) / sample.equilibrium
    assert summary["price_gap_to_equilibrium"] == pytest.approx(gap.mean())


def test_a_twin_that_nobody_serves_is_shown_so() -> None:
    listener = said.small_city()
    frame = listener.frame(5.0, sampled=False)
    assert frame.host.tolist() == [NOBODY, NOBODY]
    assert np.isnan(frame.age).all()


def test_a_move_is_told_in_sentences_and_followed_on_its_way() -> None:
    listener = said.small_city()
    listener.frame(0.6, sampled=False)
    uav, (source, target) = next(iter(listener.city.uavs)), list(listener.city.rsus)
    progress = SimpleNamespace(uav_id=uav, target=target, phase="copying", size=60.0, remaining=45.0, rate=9.0)
    topic = f"/rsu/{source}/migrate_twin/_action/feedback"
    listener.hear(0.8, topic, "MigrateTwinFeedback", SimpleNamespace(feedback=progress))
    frame = listener.frame(0.9, sampled=False)
    assert [(one.uav, one.source, one.target, one.sent) for one in frame.transfers] == [(0, 0, 1, 15.0)]
    assert frame.events[-1].text == f"The twin of {uav} sets out from {source} to {target}, 60 Mbit."
    listener.hear(1.0, "/twin/states", "TwinState", said.state(target, uav, 2, 0.9, (0.0, 20.0, 90.0)))
    listener.hear(1.1, "/twin/migrations", "MigrationReport", said.report(uav, source, target))
    frame = listener.frame(1.2, sampled=False)
    assert not frame.transfers
    assert frame.host[0] == 1
    assert "moved from" in frame.events[-1].text


def test_without_a_scenario_whoever_speaks_takes_part() -> None:
    listener = Listener()
    listener.hear(0.0, "/north/market/price_offers", "PriceOffer", said.offer("rsu_a", 2.0, at=(10.0, 20.0, 15.0)))
    listener.hear(0.0, "/uav/uav_z/odometry", "Odometry", said.odometry(1.0, 2.0))
    frame = listener.frame(0.1, sampled=True)
    cast = listener.city.cast()
    assert [(rsu.id, rsu.position, rsu.region) for rsu in cast.rsus] == [("rsu_a", (10.0, 20.0, 15.0), "north")]
    assert [uav.id for uav in cast.uavs] == ["uav_z"]
    assert frame.sample is not None
    assert math.isnan(frame.sample.equilibrium[0])
    assert listener.city.cast() is cast
    interaction = SimpleNamespace(rsu_id="rsu_a", capacity=20.0, unit_cost=1.0, price_cap=9.0)
    listener.hear(0.2, "/market/interactions", "Interaction", interaction)
    assert listener.city.cast().rsus[0].unit_cost == 1.0


def test_with_a_scenario_nobody_else_takes_part() -> None:
    listener = said.small_city()
    listener.hear(0.7, "/market/price_offers", "PriceOffer", said.offer("rsu_unheard_of", 2.0))
    assert "rsu_unheard_of" not in listener.city.rsus


def test_a_silent_rsu_is_noticed_and_so_is_its_return() -> None:
    listener = said.small_city()
    listener.frame(1.0, sampled=True)
    frame = listener.frame(9.0, sampled=True)
    assert frame.sample is not None
    assert frame.sample.state == ("silent", "silent")
    assert "is silent" in frame.events[-1].text
    rsu = next(iter(listener.city.rsus))
    listener.hear(9.1, "/market/price_offers", "PriceOffer", said.offer(rsu, 3.0))
    assert listener.frame(10.0, sampled=True).events[-1].text == f"{rsu} offers again."


def test_alarms_are_kept_while_they_last() -> None:
    listener = said.small_city()
    listener.hear(0.6, "/diagnostics", "DiagnosticArray", said.status("rsu/rsu_1", 2, "disk full"))
    sample = listener.frame(0.7, sampled=True).sample
    assert sample is not None
    assert sample.health["alarms"] == ["rsu/rsu_1: disk full"]
    listener.hear(0.8, "/diagnostics", "DiagnosticArray", said.status("rsu/rsu_1", 0, "ok"))
    sample = listener.frame(0.9, sampled=True).sample
    assert sample is not None
    assert sample.health["alarms"] == []


NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-(2**70), 2**70))
TEXTS = st.one_of(
    st.text('ab_1<>&"é', max_size=9), st.sampled_from(["rsu_1", "uav_1", "", "<script>alert(1)</script>"])
)
ANYTHING: Any = st.recursive(
    st.one_of(NUMBERS, TEXTS, st.booleans(), st.none()), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)
FIELDS = (
    *("rsu_id", "uav_id", "uav_ids", "rsu_ids", "round", "rounds", "price", "bandwidth", "free_bandwidth", "range"),
    *("spectral_efficiency", "epochs", "stamps", "positions", "holdings", "successors", "replicas", "replica_ages"),
    *("reasons", "restored", "as_of", "source", "target", "reason", "age_of_migration", "downtime", "granted_rate"),
    *("achieved_rate", "status", "capacity", "unit_cost", "price_cap", "draining", "source_ids", "target_ids"),
    *("phases", "sizes", "sent", "rates", "feedback", "lease", "valid_for", "position", "pose", "twist"),
)


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_said_nothing_is_raised_and_frames_stay_json(data: st.DataObject) -> None:
    listener = Listener() if data.draw(st.booleans()) else said.small_city()
    for kind in data.draw(st.lists(st.sampled_from(sorted(listener.kinds)), max_size=6)):
        fields = {name: data.draw(ANYTHING) for name in data.draw(st.lists(st.sampled_from(FIELDS), max_size=12))}
        listener.hear(0.7, data.draw(TEXTS), kind, SimpleNamespace(**fields))
    frame = listener.frame(0.8, sampled=True)
    json.dumps(frame_to_json(frame), allow_nan=False)
    json.dumps(cast_to_json(listener.city.cast()), allow_nan=False)


@settings(max_examples=60)
@given(NUMBERS, TEXTS, NUMBERS)
def test_absurd_numbers_and_names_change_nothing(number: float, name: str, other: float) -> None:
    listener = said.small_city()
    before = frame_to_json(listener.frame(0.6, sampled=True))
    bad = math.nan if 0 <= float(number) <= LARGEST_PRICE else float(number)
    messages = (
        ("PriceOffer", said.offer("rsu_1", bad)),
        ("PriceOffer", said.offer(name + "!", 1.0)),
        ("BandwidthGrant", said.grant("rsu_1", 3.0, uav_1=-1.0)),
        ("LinkQuality", said.links(["uav_1"], ["rsu_1"], [bad, other])),
        ("TwinState", said.state("rsu_1", "uav_1", 1, math.nan, (0.0, 0.0, 0.0))),
        ("Odometry", said.odometry(math.inf, 0.0)),
    )
    for kind, message in messages:
        listener.hear(0.6, "/uav/uav_1/odometry", kind, message)
    after = frame_to_json(listener.frame(0.6, sampled=True))
    assert (after["p"], after["e"], after["s"]["price"]) == (before["p"], before["e"], before["s"]["price"])
