"""The action `migrate_twin` of an RSU: a UAV, or an operator, has a twin moved and hears how far that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


class MigrateAction:
    """Translates between the action and a `TwinService`: one goal a twin at a time."""

    def __init__(
        self,
        node: Node,
        rsu: str,
        service: TwinService,
        rate: Callable[[str, float], float],
        believes: Callable[[Any], bool],
        holds: Callable[[str], bool],
    ) -> None:
        """rate: bytes of this machine's second, for a UAV that claims so many Mbit/s.

        believes: whether a goal comes from whom it names.
        holds: whether a UAV's twin is here.
        """
        self._node, self._service, self._rate, self._believes, self._holds = node, service, rate, believes, holds
        self._goals: dict[str, tuple[ServerGoalHandle, Future]] = {}
        self._server = ActionServer(
            node,
            MigrateTwin,
            topics.migrate_twin(rsu),
            self._execute,
            goal_callback=self._on_goal,
            cancel_callback=self._on_cancel,
        )

    def moves(self, uav: str) -> bool:
        """Whether somebody has asked to move a twin, and it goes on."""
        return uav in self._goals

    def close(self) -> None:
        """Take no more goals."""
        self._server.destroy()

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
        sensible = self._holds(goal.uav_id) and goal.uav_id not in self._goals and 0.0 <= goal.rate <= MOST_RATE
        sensible = sensible and is_id(goal.target)
        return GoalResponse.ACCEPT if sensible and self._believes(goal) else GoalResponse.REJECT

    async def _execute(self, handle: ServerGoalHandle) -> Any:
        """Move the twin; ends with the service's report, which comes in any case."""
        goal = handle.request
        if goal.uav_id in self._goals:  # two were accepted before the first began
            handle.abort()
            reason = Reason.BUSY.value
            return MigrateTwin.Result(report=MigrationReport(uav_id=goal.uav_id, target=goal.target, reason=reason))
        ended = Future(executor=self._node.executor)
        self._goals[goal.uav_id] = (handle, ended)
        request = MigrateRequest(goal.uav_id, goal.epoch, goal.target)
        self._service.migrate(request, self._rate(goal.uav_id, goal.rate))
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
        self._service.cancel(CancelRequest(handle.request.uav_id, Reason.CANCELLED))
        return CancelResponse.ACCEPT
