"""The paper's studies as pictures (PNG) and as the numbers in them (CSV), one group a file."""

# name -> what it shows; `<name>.py` beside this file has `run(directory: Path) -> None`
STUDIES: dict[str, str] = {
    "game": "the game's equilibria: costs, caps, sizes, rho, welfare",
    "learning": "convergence, pruning, strategies over training, costs and caps beside the equilibrium",
    "migration": "hand-overs on the map, age of twin migration and immersion by pricing, a broken RSU's users",
}
