"""The action `migrate_twin` of an RSU: a UAV, or an operator, has a twin moved and hears how far that is.

Its server lives as long as the node: rclpy 7.1's events executor dies of a goal that is still in its queue when the
server goes. While no twins are hosted it accepts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from uav_twin_migration.action import MigrateTwin
from uav_twin_migration.deployment import topics
from uav_twin_migration.market.messages import is_id
from uav_twin_migration.msg import MigrationReport
from uav_twin_migration.nodes.ros.twin_convert import BYTES_PER_MBIT
from uav_twin_migration.scenario.model import MOST_RATE
from uav_twin_migration.twin.hosting import outputs as hosting
from uav_twin_migration.twin.hosting.runtime import TwinService
from uav_twin_migration.twin.protocol.messages import CancelRequest, MigrateRequest, Reason


class Served(NamedTuple):
    """Whose twins are moved, and what has to be known of a goal."""

    service: TwinService
    rate: Callable[[str, float], float]  # bytes of this machine's second, for a UAV that claims so many Mbit/s
    believes: Callable[[Any], bool]  # whether a goal comes from whom it names
    holds: Callable[[str], bool]  # whether a UAV's twin is here


class MigrateAction:
    """Translates between the action and a `TwinService`: one goal a twin at a time."""

    def __init__(self, node: Node, rsu: str) -> None:
        self._node = node
        self._served: Served | None = None
        self._goals: dict[str, tuple[ServerGoalHandle, Future]] = {}
        name = topics.migrate_twin(rsu)
        callbacks = {"goal_callback": self._on_goal, "cancel_callback": self._on_cancel}
        self._server = ActionServer(node, MigrateTwin, name, self._execute, **callbacks)

    def serve(self, served: Served) -> None:
        """Take goals from now on."""
        self._served = served

    def pause(self) -> None:
        """Take no more goals; those that have not ended fail."""
        self._served = None
        for handle, ended in self._goals.values():
            if not ended.done():
                ended.set_result(_refused(handle.request, Reason.DRAINING))

    def moves(self, uav: str) -> bool:
        """Whether somebody has asked to move a twin, and it goes on."""
        return uav in self._goals

    def tell(self, progress: hosting.Progress, time_scale: float) -> None:
        """How far a migration is, to whom asked for it. time_scale: of this machine's seconds in one of the world's."""
        goal = self._goals.get(progress.uav)
        if goal is not None:
            feedback = MigrateTwin.Feedback(
                uav_id=progress.uav,
                target=goal[0].request.target,
                phase=progress.phase.value,
                size=progress.size / BYTES_PER_MBIT,
                remaining=progress.remaining / BYTES_PER_MBIT,
                rate=progress.rate / BYTES_PER_MBIT / time_scale,
            )
            goal[0].publish_feedback(feedback)

    def ended(self, report: hosting.MigrationReport, message: MigrationReport) -> None:
        """A migration has ended, as `message` says."""
        goal = self._goals.get(report.uav)
        if goal is not None and goal[0].request.target == report.target:
            goal[1].set_result(message)

    def _on_goal(self, goal: Any) -> GoalResponse:
        served = self._served
        sensible = served is not None and served.holds(goal.uav_id) and goal.uav_id not in self._goals
        sensible = sensible and 0.0 <= goal.rate <= MOST_RATE and is_id(goal.target)
        believed = sensible and served is not None and served.believes(goal)
        return GoalResponse.ACCEPT if believed else GoalResponse.REJECT

    async def _execute(self, handle: ServerGoalHandle) -> Any:
        """Move the twin; ends with the service's report, which comes in any case."""
        goal, served = handle.request, self._served
        if served is None or goal.uav_id in self._goals:  # two were accepted before the first began
            handle.abort()
            return MigrateTwin.Result(report=_refused(goal, Reason.BUSY if served else Reason.DRAINING))
        ended = Future(executor=self._node.executor)
        self._goals[goal.uav_id] = (handle, ended)
        request = MigrateRequest(goal.uav_id, goal.epoch, goal.target)
        served.service.migrate(request, served.rate(goal.uav_id, goal.rate))
        report = await ended
        del self._goals[goal.uav_id]
        if not report.reason:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return MigrateTwin.Result(report=report)

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        if self._served is not None:
            self._served.service.cancel(CancelRequest(handle.request.uav_id, Reason.CANCELLED))
        return CancelResponse.ACCEPT


def _refused(goal: Any, reason: Reason) -> MigrationReport:
    return MigrationReport(uav_id=goal.uav_id, target=goal.target, reason=reason.value)
