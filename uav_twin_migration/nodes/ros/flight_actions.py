"""The orders of a drone that take time, as actions: they end when it is done, or when it will not be."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from uav_twin_migration.action import FlightOrder
from uav_twin_migration.vehicle.autopilot import Autopilot
from uav_twin_migration.vehicle.phases import Answer

FEEDBACK_PERIOD = 0.5  # s


class FlightActions:
    """Translates between actions and an `Autopilot`. Call `step` after each step of it."""

    def __init__(self, node: Node, flight: Autopilot, orders: Mapping[str, Callable[[float], Answer]]) -> None:
        self._node, self._flight = node, flight
        self._running: dict[str, list[tuple[ServerGoalHandle, Future]]] = {name: [] for name in orders}
        self._told_at = -math.inf
        self._servers = [
            ActionServer(
                node,
                FlightOrder,
                name,
                partial(self._execute, name, order),
                cancel_callback=partial(self._on_cancel, name),
            )
            for name, order in orders.items()
        ]

    def step(self, now: float) -> None:
        """End what has ended, tell how far the rest is."""
        tell = now - self._told_at >= FEEDBACK_PERIOD
        for name, goals in self._running.items():
            for handle, ended in goals:
                done = self._flight.outcome(name, now)
                if done is not None and not ended.done():
                    ended.set_result(Answer(done, self._flight.describe(now)))
                elif tell:
                    handle.publish_feedback(self._feedback(now))
        if tell:
            self._told_at = now

    def _feedback(self, now: float) -> Any:
        odometry = self._flight.odometry(now)
        height = math.nan if odometry is None else float(odometry.position[2])
        return FlightOrder.Feedback(phase=self._flight.phase.value, reason=self._flight.reason, height=height)

    async def _execute(self, name: str, order: Callable[[float], Answer], handle: ServerGoalHandle) -> Any:
        answer = order(time.monotonic())
        if answer.ok:
            ended = Future(executor=self._node.executor)
            goal = (handle, ended)
            self._running[name].append(goal)
            answer = await ended
            self._running[name].remove(goal)
        if answer.ok:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return FlightOrder.Result(message=answer.message)

    def _on_cancel(self, name: str, handle: ServerGoalHandle) -> CancelResponse:
        now = time.monotonic()
        if name not in ("takeoff", "fly"):
            return CancelResponse.REJECT
        answer = self._flight.hold(now)
        if not answer.ok:  # it has not taken off
            answer = self._flight.land(now)
        for one, ended in self._running[name]:
            if one is handle and not ended.done():
                ended.set_result(Answer(False, answer.message))
        return CancelResponse.ACCEPT

    def close(self) -> None:
        """Take no more goals."""
        for server in self._servers:
            server.destroy()
