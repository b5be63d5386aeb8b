"""Bytes from RSU to RSU."""
