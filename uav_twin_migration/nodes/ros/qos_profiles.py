"""Qualities of service: what is kept of what is said, for whom; docs/interfaces.md is their reference."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

# What is published for whoever wants it reliably. It keeps more than one round's messages of a crowded market.
MARKET = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=500,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
# The last word of each publisher, also for those who come later.
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# To hear the last word of every publisher: a reader's depth counts the messages of all of them together.
LATCHED_BY_MANY = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1000,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# How RSUs and UAVs read what is said again every round or oftener. A reliable reader gets nothing newer before what was
# lost has come once more, which takes a heartbeat of the middleware, 3 s, or several: by then a round, or a lease, is
# over. With 5 % of the packets lost, a reliable market had silences of 12 s, and UAVs gave their twins' hosts up.
REPEATED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=500,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
# Measurements are best effort: only the newest counts.
MEASUREMENT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
# Published reliably, so that both kinds of subscriber can have it.
ODOMETRY = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
