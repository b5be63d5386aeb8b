"""Virtual time: the state machines of a simulation in one process, in a discrete-event engine, without ROS.

What decides is the same as in `sim`: leaders and followers of the market, pricers and policies, hosting decisions, the
hosts of twins with all their protocol, UAVs' host discovery, pilots, radio, and the listener that makes the summary.
Here is what lies between them: time, messages and what they take, bytes that flow at the rate that was granted, disks,
and the faults of a schedule. `run.py` is where to begin.
"""
