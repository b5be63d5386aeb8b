"""The twin: protocol/ (how it moves and stays the only one), hosting/ (store, twin, transactions), verification/."""
