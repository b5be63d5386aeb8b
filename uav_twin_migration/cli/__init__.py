"""The `uavtwin` command line."""
