"""Benchmarks, figures, harnesses and baselines: what measures the system. An RSU's host does not install it."""
