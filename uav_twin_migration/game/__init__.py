"""The market as mathematics: immersion, best responses, profit, equilibrium, exploitability.

For researchers, from here; docs/game.md has the theory:

>>> from uav_twin_migration.game import Market, solve
>>> market = Market.of(alpha=[10, 12], required_rate=[2, 3], efficiency=[[4, 1], [1, 5]], unit_cost=[1, 1.5],
...                    price_cap=20, rho=0.6)
>>> solve(market).found
array(True)

Random markets are in `uav_twin_migration.game.sample`, welfare in `planner`, all that UAVs decide in `followers`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uav_twin_migration.game.cycle import cycle_of, least_regret
    from uav_twin_migration.game.equilibrium import Equilibrium, solve
    from uav_twin_migration.game.files import read_markets
    from uav_twin_migration.game.followers import best_response, respond
    from uav_twin_migration.game.large import solve_links
    from uav_twin_migration.game.leaders import best_prices, exploitability, profits
    from uav_twin_migration.game.links import LinkMarket
    from uav_twin_migration.game.market import Market
    from uav_twin_migration.game.mixed import mixed_equilibrium

__all__ = [
    "Equilibrium",
    "LinkMarket",
    "Market",
    "best_prices",
    "best_response",
    "cycle_of",
    "exploitability",
    "least_regret",
    "mixed_equilibrium",
    "profits",
    "read_markets",
    "respond",
    "solve",
    "solve_links",
]

_MODULES = {
    "Equilibrium": "equilibrium",
    "LinkMarket": "links",
    "Market": "market",
    "best_prices": "leaders",
    "best_response": "followers",
    "cycle_of": "cycle",
    "exploitability": "leaders",
    "least_regret": "cycle",
    "mixed_equilibrium": "mixed",
    "profits": "leaders",
    "read_markets": "files",
    "respond": "followers",
    "solve": "equilibrium",
    "solve_links": "large",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, when it is: a node that only answers prices loads no solver."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
