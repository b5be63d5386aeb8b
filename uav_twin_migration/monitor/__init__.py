"""What a person sees of a running system: statistics, summary, terminal, log lines and hints. No ROS."""
