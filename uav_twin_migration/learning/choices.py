"""What options of the command line may name. Standard library only: help and completion need nothing installed."""

from __future__ import annotations

GAMES = ("standard", "mixed", "wide")  # what games are drawn from; `games.GAMES` has each
METHODS = ("actor-critic", "mappo")
TEST_SEED = 20240118  # of games to measure on; training uses other streams
