"""What benchmarks and figures run: cities of hosts, RSUs without ROS, flights in virtual time."""
