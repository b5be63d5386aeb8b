"""The environment and the running protocol tell the same story: same observations, same prices, same profits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

from test.policy.test_artifact import make_policy
from uav_twin_migration.game.market import Market
from uav_twin_migration.learning.environment import MarketEnvironment, Outcome
from uav_twin_migration.learning.games import GameDistribution, draw_games
from uav_twin_migration.learning.rules import PerRsu, PolicyPlayer
from uav_twin_migration.learning.training import random_prices
from uav_twin_migration.market.follower import Demand, Follower, FollowerSettings
from uav_twin_migration.market.leader import ClosedRound, Leader, LeaderSettings, PriceDecision, RoundResult
from uav_twin_migration.market.messages import Bid, Offer
from uav_twin_migration.market.offer_board import OfferBoard
from uav_twin_migration.market.pricing import ElasticityPricer
from uav_twin_migration.policy import observation
from uav_twin_migration.policy.actor import price_of
from uav_twin_migration.policy.artifact import Policy
from uav_twin_migration.policy.pricer import PolicyPricer

ROUNDS = 8


class RunningMarket:
    """Leaders and followers as the nodes have them, in one game, with a network that loses nothing."""

    def __init__(self, games: Market, policy: Policy) -> None:
        self.games = games
        rho = float(games.rho[0, 0])
        self.leaders = []
        for m in range(games.rsus):
            cost, cap, capacity = (float(getattr(games, k)[0, 0, m]) for k in ("unit_cost", "price_cap", "capacity"))
            pricer = PolicyPricer(cost, cap, capacity, rho, ElasticityPricer(cost, cap, capacity), policy)
            settings = LeaderSettings(f"rsu_{m}", (0.0, 0.0, 15.0), 600.0, capacity, cost, cap)
            self.leaders.append(Leader(settings, pricer, first_round=0))
        self.board = OfferBoard()
        self._known: set[tuple[str, str]] = set()
        alpha = games.alpha[0, 0]
        self.followers = [
            Follower(FollowerSettings(f"uav_{n}", float(alpha[n]), 1.0, rho), self.board) for n in range(games.uavs)
        ]

    def play(self, round_: int) -> list[ClosedRound]:
        """A round in which all leaders post together. What each of them booked."""
        now = float(round_)
        offers = [offer for leader in self.leaders for offer in leader.on_time(now) if isinstance(offer, Offer)]
        for offer in offers:
            self.board.on_offer(now, offer)
            for leader in self.leaders:
                if leader.settings.rsu != offer.rsu:
                    leader.on_offer(now + 0.001, offer)
        # Who is new in range comes first: a round closes as soon as all who are known have answered.
        bids = [bid for n in range(len(self.followers)) for bid in self._answers(now, round_, n)]
        bids.sort(key=lambda bid: (bid.uav, bid.rsu) in self._known)
        self._known = {(bid.uav, bid.rsu) for bid in bids}
        booked = []
        for leader in self.leaders:
            for bid in bids:
                leader.on_bid_elsewhere(now + 0.01, bid)
            outputs = [out for bid in bids for out in leader.on_demand(now + 0.01, round_ + 1, bid)]
            outputs += leader.on_time(now + 0.6)
            assert not leader.refusals
            booked += [out for out in outputs if isinstance(out, ClosedRound)]
        return booked

    def _answers(self, now: float, round_: int, n: int) -> list[Bid]:
        follower = self.followers[n]
        # A UAV that hovers stays for ever, that is for the longest stay there is.
        size = float(self.games.required_rate[round_, 0, n]) * follower.settings.max_stay
        follower.settings = dataclasses.replace(follower.settings, twin_size=size)
        follower.on_motion(now, (0.0, 0.0, 100.0), (0.0, 0.0, 0.0))
        follower.on_links(now, {f"rsu_{m}": float(e) for m, e in enumerate(self.games.efficiency[round_, 0, n])})
        return [bid for out in follower.on_offers(now) if isinstance(out, Demand) for bid in out.bids]


@pytest.mark.parametrize(("rsus", "uavs", "seed"), [(1, 3, 0), (2, 4, 1), (4, 16, 2), (6, 9, 3)])
def test_an_rsu_and_the_environment_agree(rsus: int, uavs: int, seed: int) -> None:
    games = draw_games(GameDistribution(blocked=(0.1, 0.1)), np.random.default_rng(seed), 1, rsus, uavs, ROUNDS)
    policy = make_policy(hidden=(16, 16), seed=seed)
    environment = MarketEnvironment(games)
    player, outcome = PolicyPlayer(policy), None
    running = RunningMarket(games, policy)
    for round_ in range(ROUNDS):
        seen, prices = environment.observe()[0], player(environment, outcome)
        outcome = environment.step(prices)
        booked = running.play(round_)
        assert len(booked) == rsus
        for m, (result, decision) in enumerate(booked):
            assert decision.observation == pytest.approx(seen[m], abs=1e-5)
            assert decision.price == pytest.approx(prices[0, m], rel=1e-5)
            assert result.demanded == pytest.approx(outcome.demanded[0, m], rel=1e-4, abs=1e-4)
            assert result.profit == pytest.approx(outcome.profit[0, m], rel=1e-4, abs=1e-4)


class AsHeard(PolicyPricer):
    """Told, as by a leader, of each round what rivals had posted when it opened."""

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        before: list[tuple[float, ...]] = [(), *(result.rival_prices for result in history[:-1])]
        heard = [result._replace(rival_prices=posted) for result, posted in zip(history, before, strict=False)]
        return super().decide(heard, rival_prices)


@pytest.mark.parametrize("habit", ["alternating", "random"])
def test_both_answer_rivals_that_keep_jumping_alike(habit: str) -> None:
    games = draw_games(GameDistribution(), np.random.default_rng(5), 4, 3, 8, 20)
    policy = make_policy(hidden=(16, 16), seed=5)
    policy = dataclasses.replace(policy, ranges={"growth_1": (-1.0, 1.0)})
    environment, random = MarketEnvironment(games), np.random.default_rng(5)
    cost, cap = environment.unit_cost, environment.price_cap

    def pricer(own: float, most: float, sells: float) -> PolicyPricer:
        return AsHeard(own, most, sells, 0.7, ElasticityPricer(own, most, sells), policy)

    batched, single = PolicyPlayer(policy), PerRsu(pricer)
    last: Outcome | None = None
    by_habit = 0
    for round_ in range(20):
        one, other = batched(environment, last)[:, 0], single(environment, last)[:, 0]
        seen = environment.observe()[:, 0]
        inside = np.abs(seen[:, observation.NAMES.index("growth_1")]) <= 1.0
        assert one[inside] == pytest.approx(other[inside], rel=1e-5), round_
        by_last_round = price_of(policy.actor(seen), cost[:, 0], cap[:, 0])
        by_habit += int((np.abs(one / by_last_round - 1.0)[inside] > 1e-3).sum())
        posted = random_prices(environment, random) if habit == "random" else (cost, 0.5 * cap)[round_ % 2].copy()
        posted[:, 0] = one
        last = environment.step(posted)
    assert by_habit > 0, "no round was answered by habit"
