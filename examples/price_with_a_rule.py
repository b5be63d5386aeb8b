"""Price with a rule of one's own: two RSUs sell to three UAVs, one by a rule that takes ten lines to write.

    python3 examples/price_with_a_rule.py

A rule is any object with `decide(history, rival_prices) -> PriceDecision`. The market is played round by round in its
closed form, without ROS; an RSU's node gives its rule the same history.
"""

from collections.abc import Sequence

from uav_twin_migration.game import Market, profits, respond, solve
from uav_twin_migration.market.leader import PriceDecision, RoundResult
from uav_twin_migration.market.pricing import ElasticityPricer

UNIT_COST, PRICE_CAP, CAPACITY = 1.0, 20.0, 100.0


class Undercut:
    """Ask a little less than the cheapest rival, but never less than a fifth above one's own cost."""

    def decide(self, history: Sequence[RoundResult], rival_prices: Sequence[float]) -> PriceDecision:
        """The next round's price, credit/MHz."""
        cheapest = min(rival_prices, default=2.0 * UNIT_COST)
        return PriceDecision(max(0.95 * cheapest, 1.2 * UNIT_COST))


market = Market.from_json(
    {
        "alpha": [20.0, 30.0, 25.0],
        "required_rate": [2.0, 3.0, 4.0],
        "efficiency": [[5.0, 3.0], [4.0, 4.0], [3.0, 5.0]],
        "unit_cost": [UNIT_COST, UNIT_COST],
        "capacity": [CAPACITY, CAPACITY],
        "price_cap": PRICE_CAP,
        "rho": 0.5,
    },
    "example",  # what errors call it
)
rules = [Undercut(), ElasticityPricer(UNIT_COST, PRICE_CAP, CAPACITY, seed=1)]
histories: list[list[RoundResult]] = [[], []]
prices = [2.0, 2.0]
for number in range(30):
    prices = [rule.decide(histories[me], [prices[1 - me]]).price for me, rule in enumerate(rules)]
    sold = respond(market, prices).bandwidth.sum(axis=0)
    for me in range(2):
        profit = (prices[me] - UNIT_COST) * float(sold[me])
        rivals = (prices[1 - me],)
        histories[me].append(RoundResult(number, prices[me], float(sold[me]), float(sold[me]), profit, 3, rivals))
print(f"after 30 rounds: prices {[round(price, 3) for price in prices]}, profits {profits(market, prices).round(3)}")
print(
    f"in equilibrium:  prices {solve(market).prices.round(3)}, profits {profits(market, solve(market).prices).round(3)}"
)
