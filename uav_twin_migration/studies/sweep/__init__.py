"""Sweeps: a command of `uavtwin` over settings, options, policies, plug-ins and seeds; docs/sweeps.md.

`spec.py` reads what is wanted, `points.py` makes runs of it, `run.py` does one of them, here or on another machine,
`workers.py` has many done, `results.py` keeps them and makes tables, `plots.py` draws.
"""
