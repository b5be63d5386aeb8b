"""A UAV's motion and its autopilot: pilot, frames, flight state machine, one back end a file."""
