"""The twin, its store and the migration protocol."""
