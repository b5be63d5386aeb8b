"""Names of everything on the wire; docs/interfaces.md is their reference. Qualities: `nodes/ros/qos_profiles.py`."""

from __future__ import annotations

import os

ROOT = os.environ.get("UAVTWIN_NAMESPACE", "")  # a namespace that everything but ROS's own topics is moved into

LINK_QUALITY = f"{ROOT}/radio/link_quality"
PRICE_OFFERS = f"{ROOT}/market/price_offers"
BANDWIDTH_DEMANDS = f"{ROOT}/market/bandwidth_demands"
BANDWIDTH_GRANTS = f"{ROOT}/market/bandwidth_grants"
HOSTING_DECISIONS = f"{ROOT}/market/hosting_decisions"
INTERACTIONS = f"{ROOT}/market/interactions"
POLICY_UPDATES = f"{ROOT}/market/policy_updates"
TWIN_UAV_HEARTBEATS = f"{ROOT}/twin/uav_heartbeats"
TWIN_HOST_HEARTBEATS = f"{ROOT}/twin/host_status"
TWIN_REQUESTS = f"{ROOT}/twin/requests"
TWIN_REPLIES = f"{ROOT}/twin/replies"
TWIN_STATES = f"{ROOT}/twin/states"
TWIN_HOSTS = f"{ROOT}/twin/hosts"
TWIN_TRANSFERS = f"{ROOT}/twin/transfers"
MIGRATIONS = f"{ROOT}/twin/migrations"
MARKET_STATE = f"{ROOT}/market/state"
CITY_MARKERS = f"{ROOT}/city/markers"
CITY_BUILDINGS = f"{ROOT}/city/buildings"
DIAGNOSTICS = "/diagnostics"
CLOCK = "/clock"
TF, TF_STATIC = "/tf", "/tf_static"

# The map frame of REP 105: metres, east-north-up about the scenario's geodetic origin.
MAP = "map"

# What is said in the region of an RSU alone; everything else is for all.
REGIONAL = frozenset(
    {
        PRICE_OFFERS,
        BANDWIDTH_DEMANDS,
        BANDWIDTH_GRANTS,
        HOSTING_DECISIONS,
        TWIN_UAV_HEARTBEATS,
        TWIN_HOST_HEARTBEATS,
        TWIN_REQUESTS,
        TWIN_REPLIES,
    }
)


def in_region(region: str, topic: str) -> str:
    """A topic's name in a region: /north/market/price_offers; without a region, the topic itself."""
    return f"{ROOT}/{region}{topic.removeprefix(ROOT)}" if region and topic in REGIONAL else topic


def migrate_twin(rsu: str) -> str:
    """MigrateTwin, the action of an RSU that hands a twin over."""
    return f"{ROOT}/rsu/{rsu}/migrate_twin"


def migrate_twin_feedback(rsu: str) -> str:
    """How far migrations of that action have come: what its feedback is published at."""
    return f"{migrate_twin(rsu)}/_action/feedback"


def rsu_state(rsu: str) -> str:
    """RsuState of an RSU, from the monitor."""
    return f"{ROOT}/rsu/{rsu}/state"


def uav_state(uav: str) -> str:
    """UavState of a UAV, from the monitor."""
    return f"{ROOT}/uav/{uav}/state"


def odometry(uav: str) -> str:
    """nav_msgs/Odometry of a UAV, whoever flies it."""
    return f"{ROOT}/uav/{uav}/odometry"


def own_link_quality(namespace: str) -> str:
    """LinkQuality of one node's UAVs, by its namespace under ROOT: `uav/uav_1`, or a UAV container's."""
    return f"{ROOT}/{namespace}/link_quality"


def fix(uav: str) -> str:
    """sensor_msgs/NavSatFix of a UAV: where on the Earth it is."""
    return f"{ROOT}/uav/{uav}/fix"


def cmd_vel(uav: str) -> str:
    """geometry_msgs/Twist: velocity in the map frame that a UAV is told to fly, m/s."""
    return f"{ROOT}/uav/{uav}/cmd_vel"


def body_velocity(uav: str) -> str:
    """geometry_msgs/Twist: velocity in the UAV's own frame that its simulator is told to fly, m/s and rad/s."""
    return f"{ROOT}/uav/{uav}/body_velocity"


def flight(uav: str) -> str:
    """std_msgs/String, latched: what a PX4 drone is doing, and why."""
    return f"{ROOT}/uav/{uav}/flight"
