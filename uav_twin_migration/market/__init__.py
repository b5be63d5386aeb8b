"""The round protocol as two state machines, without any I/O."""
