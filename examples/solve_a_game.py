"""Solve a game: the prices at which no RSU gains by moving alone, and what they are worth to everybody.

python3 examples/solve_a_game.py
"""

from uav_twin_migration.game import Market, best_prices, exploitability, profits, respond, solve
from uav_twin_migration.game.followers import utilities

market = Market.from_json(
    {
        "alpha": [20.0, 30.0, 25.0],  # credit: how much freshness is worth to each UAV's users
        "required_rate": [2.0, 3.0, 4.0],  # Mbit/s
        "efficiency": [[5.0, 2.0], [4.0, 4.0], [1.0, 6.0]],  # bit/s/Hz, a row a UAV, a column an RSU
        "unit_cost": [1.0, 1.2],  # credit/MHz
        "capacity": [20.0, None],  # MHz; None: unlimited
        "price_cap": 20.0,
        "rho": 0.5,  # how well one RSU replaces another
    },
    "example",  # what errors call it
)

equilibrium = solve(market)
print(f"{equilibrium.status}: prices {equilibrium.prices.round(3)} credit/MHz")
bought = respond(market, equilibrium.prices).bandwidth
print(f"each UAV buys, MHz:\n{bought.round(3)}")
print(
    f"profits {profits(market, equilibrium.prices).round(3)}, utilities "
    f"{utilities(market, equilibrium.prices, bought).round(3)} credit"
)

guess = [3.0, 3.0]
print(f"at prices {guess} an RSU that moved alone would gain {float(exploitability(market, guess)):.1%} on average:")
print(f"its best prices are {best_prices(market, guess).prices.round(3)}")
