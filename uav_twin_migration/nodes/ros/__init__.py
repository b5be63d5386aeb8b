"""What nodes share: conversions, topics, parameters, clocks, executors."""
