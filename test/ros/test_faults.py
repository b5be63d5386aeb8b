"""Bad input and faults against real RSU and UAV processes: nothing crashes, nobody else's share changes."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.msg import BandwidthDemand, BandwidthGrant, LinkQuality, PriceOffer

from test.ros.conftest import PATIENCE, RSU, UAV, Probe, Processes
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.messages import Bid, Offer
from uav_twin_migration.nodes.ros import convert, qos_profiles
from uav_twin_migration.nodes.ros.timing import Timing
from uav_twin_migration.nodes.rsu import RsuNode


def test_a_round_of_a_real_rsu(processes: Processes, probe: Probe) -> None:
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    probe.answer_every_offer(uav_0=4.0, uav_1=12.0)

    def whole() -> set[int]:
        """Rounds to which both answered in time, and of which all has been heard."""
        granted = {grant.round for grant in probe.grants if len(grant.uav_ids) == 2}
        return granted & {told.round for told in probe.interactions}

    probe.wait_for(lambda: len(whole()) >= 3, "three rounds of two")
    rounds = [grant.round for grant in probe.grants]
    assert rounds == sorted(set(rounds))
    grant = next(grant for grant in probe.grants if grant.round == max(whole()))
    shares = dict(zip(grant.uav_ids, grant.bandwidth, strict=True))
    assert shares == pytest.approx({"uav_0": 10 * 4 / 14, "uav_1": 10 * 10 / 14})  # a boast: 12 of 10
    last = next(told for told in probe.interactions if told.round == grant.round)
    assert last.sold == pytest.approx(10.0)
    assert last.profit == pytest.approx((last.price - 1.0) * last.sold)
    assert last.uavs_in_range == 2
    assert math.isnan(last.log_probability)


def forgeries(round_: int) -> dict[str, list[Bid]]:
    """Demands that must be refused, by reason."""
    return {
        "not_finite": [Bid("uav_9", "rsu_0", round_, value) for value in (math.nan, math.inf, -math.inf)],
        "negative": [Bid("uav_9", "rsu_0", round_, -1.0)],
        "absurd": [Bid("uav_9", "rsu_0", round_, 1e300)],
        "bad_id": [Bid("", "rsu_0", round_, 1.0), Bid("u" * 10_000, "rsu_0", round_, 1.0)],
        "unknown_uav": [Bid("unknown_rsu", "rsu_0", round_, 1.0)],
        "past_round": [Bid("uav_9", "rsu_0", 0, 1.0)],
        "future_round": [Bid("uav_9", "rsu_0", round_ + 10**6, 1.0)],
    }


def test_a_clean_up_among_goals_and_timers_ends_nothing(processes: Processes, probe: Probe, tmp_path: Path) -> None:
    """What an executor holds for a server, timer or subscription that goes had ended an RSU in its first clean-ups."""
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, twin_store=str(tmp_path / "twins.db"), state_period=0.01)
    client = ActionClient(probe, MigrateTwin, topics.migrate_twin("rsu_0"))
    goal = MigrateTwin.Goal(uav_id="uav_0", epoch=1, target="rsu_1", rate=10.0)
    probe.wait_for(client.server_is_ready, "the action")
    asking = probe.create_timer(0.005, lambda: [client.send_goal_async(goal) for _ in range(10)])
    for _ in range(6):
        probe.change_state(
            Transition.TRANSITION_DEACTIVATE,
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_ACTIVATE,
        )
    probe.destroy_timer(asking)
    assert rsu.poll() is None
    heard = len(probe.offers)
    probe.wait_for(lambda: len(probe.offers) > heard, "an offer")


def test_bad_demands_are_refused_by_reason_and_nobodys_share_changes(processes: Processes, probe: Probe) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU)
    probe.answer_every_offer(uav_0=4.0, uav_1=2.0)
    fair = {"uav_0": 4.0, "uav_1": 2.0}
    probe.wait_for(lambda: fair in probe.shares(), "an undisturbed round")

    def attack(offer: PriceOffer) -> None:
        for bids in forgeries(offer.round).values():
            for bid in bids:
                probe.demand_publisher.publish(convert.demand_to_message([bid], 1, 0.0))
        probe.demand_publisher.publish(BandwidthDemand(uav_ids=["uav_9"], rsu_ids=["rsu_0"], rounds=[]))
        probe.demand("uav_0", offer.round, 4.0, sequence=10**9)
        probe.demand("uav_0", offer.round, 9.0, sequence=10**9)  # a duplicate by its number
        probe.demand("uav_1", offer.round, 2.0)

    probe.on_offer = attack
    expected = {*forgeries(1), "length_mismatch", "replayed"}
    late = {"late"}  # why an answer of ours is refused that a busy machine brings when the round is over
    probe.wait_for(lambda: probe.refused().keys() - late == expected, f"refusals {expected}")
    start = len(probe.grants)
    probe.wait_for(lambda: probe.shares(start).count(fair) >= 2, "rounds as before")
    assert all(shares.items() <= fair.items() for shares in probe.shares())
    assert rsu.poll() is None


def test_a_thousand_forged_demands_a_second_from_one_sender_do_not_keep_others_from_being_served(
    processes: Processes, probe: Probe
) -> None:
    processes.start("rsu", "/rsu/rsu_0", **(RSU | {"round_period": 2.0, "offer_window": 1.5}))
    probe.answer_every_offer(uav_0=4.0)
    probe.wait_for(lambda: {"uav_0": 4.0} in probe.shares(), "an undisturbed round")
    sent = 0

    def flood() -> None:
        nonlocal sent
        for _ in range(20):
            sent += 1
            round_ = probe.offers[-1].round
            probe.demand("uav_9" if sent % 2 else "unknown_rsu", round_ + sent % 3, 1e-6, sequence=sent)

    probe.create_timer(0.02, flood)
    start = len(probe.grants)
    probe.wait_for(lambda: sent >= 3000, "the flood", patience=120.0)

    def served() -> list[float]:
        return [shares["uav_0"] for shares in probe.shares(start) if "uav_0" in shares]

    probe.wait_for(lambda: len(served()) >= 3, "rounds that serve the other while the flood goes on", patience=120.0)
    assert set(served()) == {4.0}
    probe.wait_for(lambda: sum(probe.refused().values()) > 1000, "refusals counted")


def test_an_rsu_killed_in_mid_round_comes_back_with_a_higher_round(processes: Processes, probe: Probe) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU)
    processes.start("uav", "/uav/uav_0", **UAV)
    probe.fly()
    probe.wait_for_trade()
    heard = len(probe.offers)
    probe.wait_for(lambda: len(probe.offers) > heard, "an open round")
    rsu.send_signal(signal.SIGKILL)
    rsu.wait()
    last = probe.offers[-1].round
    processes.start("rsu", "/rsu/rsu_0", **RSU)
    start = len(probe.grants)
    probe.wait_for(lambda: any("uav_0" in shares for shares in probe.shares(start + 1)), "grants after the restart")
    assert probe.offers[-1].round > last
    assert [offer.round for offer in probe.offers] == sorted({offer.round for offer in probe.offers})


def test_an_rsu_whose_host_sleeps_goes_on(processes: Processes, probe: Probe) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU)
    probe.wait_for(lambda: probe.grants, "a round")
    rsu.send_signal(signal.SIGSTOP)
    probe.comes(lambda: False, 2.0)  # longer than anything in it waits at once
    rsu.send_signal(signal.SIGCONT)
    seen = len(probe.grants)
    probe.wait_for(lambda: len(probe.grants) >= seen + 3, "rounds after that")
    assert rsu.poll() is None


def test_a_uav_that_vanishes_with_a_grant_frees_its_share(processes: Processes, probe: Probe) -> None:
    processes.start("rsu", "/rsu/rsu_0", **RSU | {"capacity": 2.0})
    uav = processes.start("uav", "/uav/uav_0", **UAV)
    probe.fly()
    probe.answer_every_offer(uav_1=2.0)
    probe.wait_for(lambda: probe.grants and probe.shares()[-1].keys() == {"uav_0", "uav_1"}, "a shared round")
    assert probe.shares()[-1]["uav_1"] < 2.0
    uav.send_signal(signal.SIGKILL)
    probe.wait_for(lambda: probe.shares()[-1] == {"uav_1": 2.0}, "the whole capacity for the one that is left")


def test_a_clock_that_jumps_back_stops_nobody(processes: Processes, probe: Probe) -> None:
    processes.start("rsu", "/rsu/rsu_0", **RSU, use_sim_time=True)
    probe.answer_every_offer(uav_0=4.0)
    now = 1000.0

    def tick() -> None:
        nonlocal now
        now += 0.05
        probe.clock_publisher.publish(Clock(clock=convert.to_time(now)))

    probe.create_timer(0.05, tick)
    probe.wait_for(lambda: len(probe.grants) >= 3, "rounds before the jump")
    now = 10.0
    start = len(probe.grants)
    probe.wait_for(lambda: probe.shares(start).count({"uav_0": 4.0}) >= 3, "rounds after the jump")


def test_two_rsus_of_one_id_are_noticed_and_neither_crashes(processes: Processes, probe: Probe) -> None:
    both = [processes.start("rsu", "/rsu/rsu_0", **RSU) for _ in range(2)]
    probe.answer_every_offer(uav_0=4.0)
    probe.wait_for(lambda: probe.refused().get("duplicate_id"), "a node that notices its double")
    assert [process.poll() for process in both] == [None, None]
    assert all(sum(shares.values()) <= 10.0 for shares in probe.shares())


def test_two_rsus_of_one_id_that_start_in_the_same_millisecond_are_noticed(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rounds are then nearly the same; in one of many starts of CI, they were the same."""
    start = time.time()
    for later in (0.0, 1e-5):
        monkeypatch.setattr(time, "time", lambda later=later: start + later)
        overrides = [Parameter(name, value=value) for name, value in RSU.items()]
        node = RsuNode(namespace="/rsu/rsu_0", context=probe.context, parameter_overrides=overrides)
        probe.hosts(node)
    probe.answer_every_offer(uav_0=4.0)
    probe.wait_for(lambda: probe.refused().get("duplicate_id"), "a node that notices its double")


def test_a_wake_up_that_is_overdue_from_the_start_comes_at_once(probe: Probe) -> None:
    """A leader's first is at -inf, and is asked for again where a demand is heard before it could post an offer."""
    node = Node("waiting", context=probe.context)
    woken: list[float] = []
    waker = Timing(node).waker(woken.append)
    for at in (math.inf, 0.0, -math.inf):
        waker.set(at)
    executor = SingleThreadedExecutor(context=probe.context)
    executor.add_node(node)
    executor.spin_once(timeout_sec=PATIENCE)
    node.destroy_node()
    assert len(woken) == 1


def test_a_uav_believes_no_bad_offers_grants_or_links(processes: Processes, probe: Probe) -> None:
    uav = processes.start("uav", "/uav/uav_0", **UAV)
    probe.fly()
    good = Offer("rsu_0", 1, 2.0, 10.0, (0.0, 0.0, 20.0), 600.0, 0.3)

    def post(round_: int, **changes: Any) -> None:
        probe.offer_publisher.publish(convert.offer_to_message(good._replace(round=round_, **changes), 0.0))

    numbers = iter(range(1, 10**6))
    timer = probe.create_timer(0.5, lambda: post(next(numbers)))
    probe.wait_for(lambda: probe.demands, "an answer to a good offer")
    timer.cancel()
    grants = probe.create_publisher(BandwidthGrant, topics.BANDWIDTH_GRANTS, qos_profiles.MARKET)

    def attack() -> None:
        for price in (math.nan, math.inf, -1.0, 0.0, 1e300):
            post(next(numbers), price=price)
        post(next(numbers), range=math.nan)
        post(next(numbers))  # good: a lower number is believed of an RSU that was silent for long
        post(1)  # the past
        grants.publish(BandwidthGrant(rsu_id="rsu_0", round=1, uav_ids=["uav_0"], bandwidth=[1e300]))
        grants.publish(BandwidthGrant(rsu_id="rsu_0", round=1, uav_ids=["uav_0"], bandwidth=[]))
        probe.link_publisher.publish(LinkQuality(uav_ids=["uav_0"], rsu_ids=["rsu_0"], spectral_efficiency=[math.nan]))

    probe.create_timer(0.5, attack)  # again and again: what is sent before both ends know of each other is lost
    reasons = {"not_finite", "negative", "absurd", "length_mismatch", "past_round"}
    probe.wait_for(lambda: probe.refused("uav/uav_0").keys() >= reasons, f"all of {reasons}")
    assert uav.poll() is None
    assert {bid.rsu for demand in probe.demands for bid in convert.all_bids(demand)} == {"rsu_0"}


def test_bad_parameters_are_refused_in_one_line(processes: Processes) -> None:
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU | {"capacity": math.nan})
    _, errors = rsu.communicate(timeout=PATIENCE)
    assert rsu.returncode == 2
    assert "parameters of /rsu/rsu_0/rsu: capacity: got nan" in errors
    assert "Traceback" not in errors
