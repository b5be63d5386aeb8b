"""A pricing rule: ask a little less than the cheapest rival, but never less than a fifth above one's own cost."""

from uav_twin_migration.market.leader import PriceDecision


class Undercut:
    def __init__(self, unit_cost, margin=0.05):
        self.least, self.margin = 1.2 * unit_cost, margin

    def decide(self, history, rival_prices):
        cheapest = min(rival_prices, default=2.0 * self.least)
        return PriceDecision(max((1.0 - self.margin) * cheapest, self.least))
