"""The market as mathematics: immersion, best responses, profit, equilibrium, exploitability."""
