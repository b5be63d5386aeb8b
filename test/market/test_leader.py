"""The leader's side of a round."""

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from test.market.virtual import FixedPrice, make_leader
from uav_twin_migration.market.leader import ClosedRound, Leader, ration
from uav_twin_migration.market.messages import Bid, Grant, Offer, Refusal


def open_round(leader: Leader, now: float = 0.0) -> Offer:
    (offer,) = leader.on_time(now)
    assert isinstance(offer, Offer)
    return offer


def close_round(leader: Leader, now: float) -> tuple[Grant, ClosedRound]:
    grant, booked, *_ = leader.on_time(now)
    assert isinstance(grant, Grant)
    assert isinstance(booked, ClosedRound)
    return grant, booked


def rival_offer(rsu: str = "rsu_1", **fields: Any) -> Offer:
    return Offer(rsu, 1, 3.0, 10.0, (0.0, 0.0, 20.0), 600.0, 0.5)._replace(**fields)


def test_a_round_grants_what_was_demanded_and_books_the_profit() -> None:
    leader = make_leader(price=3.0)
    offer = open_round(leader)
    assert leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 4.0)) == []
    grant, booked = close_round(leader, 0.5)
    assert grant.bandwidth == {"uav_0": 4.0}
    assert grant.price == offer.price == 3.0
    assert booked.result.profit == pytest.approx((3.0 - 1.0) * 4.0)
    assert leader.wake_at == 1.0


def test_demand_beyond_the_capacity_is_rationed_in_proportion() -> None:
    leader = make_leader()
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 5.0))
    leader.on_demand(0.1, 1, Bid("uav_1", "rsu_0", offer.round, 10.0))
    grant, booked = close_round(leader, 0.5)
    assert grant.bandwidth == pytest.approx({"uav_0": 10 / 3, "uav_1": 20 / 3})
    assert booked.result.demanded == 15.0
    assert booked.result.sold == pytest.approx(10.0)


def test_a_boast_counts_as_the_capacity() -> None:
    leader = make_leader()
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 10.0))
    leader.on_demand(0.1, 1, Bid("uav_1", "rsu_0", offer.round, 900.0))
    grant, _ = close_round(leader, 0.5)
    assert grant.bandwidth == pytest.approx({"uav_0": 5.0, "uav_1": 5.0})


def test_the_round_closes_when_everybody_who_answered_last_time_has_answered() -> None:
    leader = make_leader()
    offer = open_round(leader)
    for uav in ("uav_0", "uav_1"):
        leader.on_demand(0.1, 1, Bid(uav, "rsu_0", offer.round, 1.0))
    close_round(leader, 0.5)
    offer = open_round(leader, 1.0)
    assert leader.on_demand(1.01, 2, Bid("uav_0", "rsu_0", offer.round, 1.0)) == []
    grant, _ = leader.on_demand(1.02, 2, Bid("uav_1", "rsu_0", offer.round, 0.0))
    assert isinstance(grant, Grant)
    assert grant.bandwidth == {"uav_0": 1.0, "uav_1": 0.0}


def test_a_late_comer_is_waited_for_next_time() -> None:
    leader = make_leader()
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 1.0))
    close_round(leader, 0.5)
    assert leader.on_demand(0.6, 1, Bid("uav_1", "rsu_0", offer.round, 1.0)) == []
    assert leader.refusals[Refusal.LATE] == 1
    offer = open_round(leader, 1.0)
    assert leader.on_demand(1.01, 2, Bid("uav_0", "rsu_0", offer.round, 1.0)) == []  # not closed yet
    assert leader.on_demand(1.02, 2, Bid("uav_1", "rsu_0", offer.round, 1.0))


@pytest.mark.parametrize(
    ("bid", "reason"),
    [
        (Bid("uav_0", "rsu_0", 1, math.nan), Refusal.NOT_FINITE),
        (Bid("uav_0", "rsu_0", 1, math.inf), Refusal.NOT_FINITE),
        (Bid("uav_0", "rsu_0", 1, -math.inf), Refusal.NOT_FINITE),
        (Bid("uav_0", "rsu_0", 1, -1.0), Refusal.NEGATIVE),
        (Bid("uav_0", "rsu_0", 1, 1e300), Refusal.ABSURD),
        (Bid("", "rsu_0", 1, 1.0), Refusal.BAD_ID),
        (Bid("u" * 10_000, "rsu_0", 1, 1.0), Refusal.BAD_ID),
        (Bid("uav 0; drop", "rsu_0", 1, 1.0), Refusal.BAD_ID),
        (Bid("uav_0\n", "rsu_0", 1, 1.0), Refusal.BAD_ID),
        (Bid("unknown_rsu", "rsu_0", 1, 1.0), Refusal.UNKNOWN_UAV),
        (Bid("uav_0", "rsu_0", 0, 1.0), Refusal.PAST_ROUND),
        (Bid("uav_0", "rsu_0", 2, 1.0), Refusal.FUTURE_ROUND),
        (Bid("uav_0", "rsu_0", 2**64 - 1, 1.0), Refusal.FUTURE_ROUND),
    ],
)
def test_bad_demands_are_refused_counted_and_change_nobodys_share(bid: Bid, reason: Refusal) -> None:
    leader = make_leader(admitted=("uav_*",))
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_1", "rsu_0", offer.round, 8.0))
    assert leader.on_demand(0.1, 1, bid) == []
    assert leader.refusals == {reason: 1}
    grant, _ = close_round(leader, 0.5)
    assert grant.bandwidth == {"uav_1": 8.0}


def test_a_zero_demand_is_an_answer_and_frees_the_lease() -> None:
    leader = make_leader()
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 8.0))
    close_round(leader, 0.5)
    assert leader.leased() == 8.0
    offer = open_round(leader, 1.0)
    leader.on_demand(1.1, 2, Bid("uav_0", "rsu_0", offer.round, 0.0))
    assert leader.leased() == 0.0


def test_demands_to_other_rsus_are_not_refusals() -> None:
    leader = make_leader()
    open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_7", 1, 1.0))
    assert not leader.refusals


def test_duplicates_and_replays_are_refused_and_a_revision_counts() -> None:
    leader = make_leader()
    offer = open_round(leader)
    leader.on_demand(0.1, 5, Bid("uav_0", "rsu_0", offer.round, 1.0))
    leader.on_demand(0.1, 5, Bid("uav_0", "rsu_0", offer.round, 2.0))
    leader.on_demand(0.1, 4, Bid("uav_0", "rsu_0", offer.round, 3.0))
    leader.on_demand(0.1, 6, Bid("uav_0", "rsu_0", offer.round, 4.0))
    assert leader.refusals == {Refusal.REPLAYED: 2}
    grant, _ = close_round(leader, 0.5)
    assert grant.bandwidth == {"uav_0": 4.0}


def test_a_flood_of_revisions_is_cut_off_and_others_are_served() -> None:
    leader = make_leader(most_revisions=8, most_uavs=3)
    offer = open_round(leader)
    for number in range(1000):
        leader.on_demand(0.1, number, Bid("uav_0", "rsu_0", offer.round, 1.0))
    leader.on_demand(0.2, 1, Bid("uav_1", "rsu_0", offer.round, 2.0))
    assert leader.refusals == {Refusal.FLOODING: 992}
    leader.on_demand(0.2, 1, Bid("uav_2", "rsu_0", offer.round, 2.0))
    leader.on_demand(0.2, 1, Bid("uav_3", "rsu_0", offer.round, 2.0))
    assert leader.refusals[Refusal.CROWDED] == 1
    grant, _ = close_round(leader, 0.5)
    assert grant.bandwidth == {"uav_0": 1.0, "uav_1": 2.0, "uav_2": 2.0}


def test_a_uav_that_vanished_keeps_its_share_until_its_lease_is_over_and_no_longer() -> None:
    leader = make_leader(lease_rounds=2.5)
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 8.0))
    grant, _ = close_round(leader, 0.5)
    assert grant.lease == 2.5
    shares = []
    for second in (1.0, 2.0, 3.0, 4.0):
        offer = open_round(leader, second)
        if not leader.on_demand(second + 0.1, 1, Bid("uav_1", "rsu_0", offer.round, 9.0)):
            close_round(leader, second + 0.5)
        shares.append(leader.leased())
    assert shares == pytest.approx([10.0, 10.0, 10.0, 9.0])  # 8 + 2 while it holds


def test_a_clock_that_jumps_back_stops_nothing() -> None:
    leader = make_leader()
    open_round(leader, 1000.0)
    assert leader.on_time(10.0) == []  # the open round gets a full window from the jump
    assert leader.wake_at == pytest.approx(10.5)
    close_round(leader, leader.wake_at)
    assert leader.wake_at <= 11.5
    open_round(leader, leader.wake_at)


def test_a_clock_that_jumps_forward_closes_the_round_and_ends_leases() -> None:
    leader = make_leader()
    offer = open_round(leader)
    leader.on_demand(0.1, 1, Bid("uav_0", "rsu_0", offer.round, 8.0))
    outputs = leader.on_time(1e6)
    assert [type(output) for output in outputs] == [Grant, ClosedRound, Offer]
    leader.on_time(2e6)
    assert leader.leased() == 0.0


def test_rivals_prices_are_seen_by_the_next_round_and_forgotten_when_they_fall_silent() -> None:
    leader = make_leader()
    open_round(leader)
    leader.on_offer(0.1, rival_offer("rsu_1", price=3.0))
    leader.on_offer(0.2, rival_offer("rsu_2", price=4.0))
    _, booked = close_round(leader, 0.5)
    assert booked.result.rival_prices == ()  # they were not known when this round was priced
    open_round(leader, 1.0)
    _, booked = close_round(leader, 1.5)
    assert booked.result.rival_prices == (3.0, 4.0)
    open_round(leader, 10.0)
    assert leader.rival_prices() == ()


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (rival_offer(price=math.nan), Refusal.NOT_FINITE),
        (rival_offer(price=-1.0), Refusal.NEGATIVE),
        (rival_offer(price=0.0), Refusal.ABSURD),
        (rival_offer(price=1e30), Refusal.ABSURD),
        (rival_offer(position=(math.inf, 0.0, 0.0)), Refusal.NOT_FINITE),
        (rival_offer(position=(1e9, 0.0, 0.0)), Refusal.ABSURD),
        (rival_offer(offer_window=-1.0), Refusal.NEGATIVE),
        (rival_offer(rsu=""), Refusal.BAD_ID),
        (rival_offer(rsu="rsu_0", round=99), Refusal.DUPLICATE_ID),
    ],
)
def test_bad_offers_are_refused(offer: Offer, reason: Refusal) -> None:
    leader = make_leader()
    leader.on_offer(0.0, offer)
    assert leader.refusals == {reason: 1}
    assert leader.rival_prices() == ()


def test_a_price_that_is_no_number_is_never_posted() -> None:
    leader = make_leader(price=math.nan)
    assert open_round(leader).price == pytest.approx(math.sqrt(1.0 * 20.0))
    leader.pricer = FixedPrice(1e9)
    close_round(leader, 0.5)
    assert open_round(leader, 1.0).price == 20.0


def test_stopping_posts_nothing_and_starting_goes_on_with_a_higher_round() -> None:
    leader = make_leader()
    first = open_round(leader)
    leader.stop()
    assert leader.wake_at == math.inf
    assert leader.on_time(5.0) == []
    leader.start()
    assert open_round(leader, 6.0).round > first.round


@given(st.lists(st.floats(0.0, 1e5), max_size=20), st.floats(0.0, 1e5))
def test_rationing_never_oversells_and_keeps_proportions(demands: list[float], available: float) -> None:
    shares = ration(demands, available)
    smallest = 1e-300  # MHz: below, doubles lose their digits
    assert math.fsum(shares) <= available * (1 + 1e-12) + smallest
    assert all(0.0 <= share <= demand for share, demand in zip(shares, demands, strict=True))
    if math.fsum(demands) <= available:
        assert shares == demands


events = st.one_of(
    st.tuples(st.just("time"), st.floats(-3.0, 5.0)),
    st.tuples(st.just("wake"), st.just(0.0)),
    st.tuples(
        st.just("demand"),
        st.tuples(
            st.sampled_from(["uav_0", "uav_1", "uav_2", "", "unknown_rsu"]),
            st.integers(-1, 1),
            st.integers(0, 5),
            st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.0, 20.0)),
        ),
    ),
)


@settings(max_examples=300)
@given(st.lists(events, max_size=60))
@example([("demand", ("uav_0", 0, 0, 0.0)), ("time", 0.0), ("demand", ("uav_0", 0, 0, 1.6e-235))])
def test_whatever_happens_the_ledger_stays_within_capacity_and_rounds_only_rise(
    history: list[tuple[str, Any]],
) -> None:
    leader = make_leader(admitted=("uav_*",))
    now, rounds = 0.0, [leader.round]
    for kind, value in history:
        if kind == "demand":
            uav, offset, sequence, bandwidth = value
            outputs = leader.on_demand(now, sequence, Bid(uav, "rsu_0", max(leader.round + offset, 0), bandwidth))
        else:
            now = max(leader.wake_at, now) if kind == "wake" else now + float(value)
            outputs = leader.on_time(now)
        for output in outputs:
            if isinstance(output, Offer):
                rounds.append(output.round)
            if isinstance(output, Grant):
                assert output.round in rounds
                assert math.fsum(output.bandwidth.values()) <= 10.0 * (1 + 1e-9)
        assert leader.leased() <= 10.0 * (1 + 1e-9)
        assert math.isfinite(leader.wake_at) or leader.round == 0
    assert rounds == sorted(set(rounds))
