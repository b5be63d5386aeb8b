"""The protocol of a twin's replicas, without I/O. `migration.py` has the theory of operation."""
