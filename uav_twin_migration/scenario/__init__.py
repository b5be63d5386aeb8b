"""The scenario file: the world, its market and its motion."""
