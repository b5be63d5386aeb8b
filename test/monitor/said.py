"""Messages as rclpy and rosbags give them: objects with the fields of msg/*.msg. Checked against a recording's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.scenario.load import load


def duration(seconds: float) -> Any:
    whole = int(seconds)
    return SimpleNamespace(sec=whole, nanosec=round(1e9 * (seconds - whole)))


def offer(rsu: str, price: float, round_: int = 1, at: tuple[float, float, float] = (0.0, 0.0, 15.0)) -> Any:
    position = SimpleNamespace(x=at[0], y=at[1], z=at[2])
    return SimpleNamespace(
        rsu_id=rsu,
        round=round_,
        price=price,
        free_bandwidth=10.0,
        position=position,
        range=600.0,
        valid_for=duration(0.5),
    )


def grant(rsu: str, price: float, lease: float = 2.0, **shares: float) -> Any:
    return SimpleNamespace(
        rsu_id=rsu, round=1, price=price, uav_ids=list(shares), bandwidth=list(shares.values()), lease=duration(lease)
    )


def links(uavs: list[str], rsus: list[str], efficiency: list[float]) -> Any:
    return SimpleNamespace(uav_ids=uavs, rsu_ids=rsus, spectral_efficiency=efficiency)


def odometry(x: float, y: float, z: float = 90.0) -> Any:
    vector = SimpleNamespace(x=x, y=y, z=z)
    pose = SimpleNamespace(position=vector, orientation=SimpleNamespace(w=1.0, x=0.0, y=0.0, z=0.0))
    return SimpleNamespace(
        pose=SimpleNamespace(pose=pose),
        twist=SimpleNamespace(twist=SimpleNamespace(linear=SimpleNamespace(x=0, y=0, z=0))),
    )


def state(rsu: str, uav: str, epoch: int, stamp: float, at: tuple[float, float, float]) -> Any:
    return SimpleNamespace(rsu_id=rsu, uav_ids=[uav], epochs=[epoch], stamps=[stamp], positions=list(at))


def report(uav: str, source: str, target: str, reason: str = "") -> Any:
    return SimpleNamespace(
        uav_id=uav,
        source=source,
        target=target,
        reason=reason,
        age_of_migration=4.0,
        downtime=0.05,
        granted_rate=10.0,
        achieved_rate=9.0,
    )


def status(name: str, level: int, message: str, **values: str) -> Any:
    entries = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    one = SimpleNamespace(name=name, level=bytes([level]), message=message, values=entries)
    return SimpleNamespace(status=[one])


def small_city() -> Listener:
    """Two RSUs and two UAVs of the shipped scenario, heard for a round."""
    listener = Listener(load("small"))
    rsus, uavs = list(listener.city.rsus), list(listener.city.uavs)
    for number, rsu in enumerate(rsus):
        listener.hear(0.1, "/market/price_offers", "PriceOffer", offer(rsu, 3.0 + number))
    listener.hear(0.2, "/radio/link_quality", "LinkQuality", links(uavs, rsus, [5.0, 2.0, 1.0, 6.0]))
    for number, uav in enumerate(uavs):
        listener.hear(0.3, f"/uav/{uav}/odometry", "Odometry", odometry(100.0 * number, 20.0))
        share = {uav: 1.5}
        listener.hear(0.4, "/market/bandwidth_grants", "BandwidthGrant", grant(rsus[0], 3.0, **share))
        at = (100.0 * number, 23.0, 94.0)
        listener.hear(0.5, "/twin/states", "TwinState", state(rsus[number], uav, 1, 0.3, at))
    return listener
