"""What a person sees of a running system: one listener, statistics, frames, terminal, page, hints. No ROS."""
