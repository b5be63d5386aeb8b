"""Training: the vectorised market, MAPPO and dynamic structured pruning."""
