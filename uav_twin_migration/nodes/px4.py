"""One PX4 drone as a UAV of the scenario: its odometry for the others, its commands from the route.

The flight is `vehicle.autopilot`'s; this node gives it time, a link (MAVLink, or DDS) and a voice. What takes time are
actions in the UAV's namespace, `fly`, `takeoff`, `land` and `return`, which end when it is done, or at once with the
reason why it will not be; `hold` is a service. `flight` says, latched, what it is doing and why.
"""

from __future__ import annotations

import dataclasses
import math
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from uav_twin_migration.deployment import topics
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.msg import PriceOffer
from uav_twin_migration.nodes.ros import children, qos_profiles
from uav_twin_migration.nodes.ros.diagnostics import Diagnostics
from uav_twin_migration.nodes.ros.flight_actions import FlightActions
from uav_twin_migration.nodes.ros.frames import ESTIMATED_POSITION, ESTIMATED_TURN, set_covariances
from uav_twin_migration.nodes.ros.guarded import Guarded
from uav_twin_migration.nodes.ros.parameters import declare
from uav_twin_migration.nodes.ros.spin import run
from uav_twin_migration.nodes.ros.timing import steady_timer
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario, Uav
from uav_twin_migration.scenario.settings import parameter
from uav_twin_migration.vehicle import ardupilot_codes, px4_codes
from uav_twin_migration.vehicle.autopilot import PERIOD, Autopilot
from uav_twin_migration.vehicle.connection import Link, MavlinkConnection, read_signing_key
from uav_twin_migration.vehicle.flight_limits import REACTIONS, Fence, FlightLimits
from uav_twin_migration.vehicle.frames import to_body
from uav_twin_migration.vehicle.phases import COMMANDING, ON_EXIT
from uav_twin_migration.vehicle.sitl import MOST_INSTANCES, address, dds_namespace, sitl, system_id
from uav_twin_migration.vehicle.vehicle_state import Odometry as FlownOdometry
from uav_twin_migration.vehicle.wire import EXPECTED, open_wire

DIALECTS = {"px4": px4_codes.DIALECT, "ardupilot": ardupilot_codes.DIALECT}
EXIT_REPEATS = 5  # times that the last order is sent, since nobody is left to see whether it was heard
STEERING_HOLDS = 0.5  # s that a cmd_vel counts for
LOGGED = ("autopilot_says", "landed", "remote_control", "arming_checks")  # of what the autopilot says of itself
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

PARAMETERS = (
    parameter("scenario", str, "scenario file, or the name of a shipped one"),
    parameter("uav_id", str, "id of this UAV in the scenario"),
    parameter("instance", 0, "PX4 instance: gives ports and system id where those are not set", 0, MOST_INSTANCES),
    parameter(
        "link", "mavlink", "how to speak with it: mavlink, or dds (PX4's own topics; needs px4_msgs and the agent)"
    ),
    parameter("system_id", 0, "MAVLink system id of the vehicle; 0: instance + 1", 0, 255),
    parameter("address", "", f"where MAVLink is: {EXPECTED}; empty: the instance's UDP ports on this machine"),
    parameter("firmware", "px4", "whose MAVLink it is: px4 or ardupilot"),
    parameter("signing_key", "", "file with MAVLink's signing key, 32 bytes; empty: messages are not signed"),
    parameter("dds_namespace", "", "namespace of PX4's topics; empty: the instance's, /px4_<i>, none for instance 0"),
    parameter("auto_arm", False, "arm and fly without being asked, once, as soon as the vehicle is ready"),
    parameter("safe_height", 10.0, "height above the take-off ground to which it climbs straight up, m", 1.0, 120.0),
    parameter("floor", 5.0, "height below which nobody steers it down, m; landing is the autopilot's", 0.0, 120.0),
    parameter("climb", 3.0, "limit of climbing and sinking, whoever steers, m/s", 0.5, 10.0),
    parameter("first_leg", 500.0, "the farthest that the first waypoint may be for it to take off, m", 1.0, 1e5),
    parameter("least_battery", 0.25, "charge below which it does not take off, 0 to 1", 0.0, 1.0),
    parameter("fence_margin", 150.0, "how far outside of the scenario's routes and RSUs it comes back, m", 10.0, 1e5),
    parameter("separation", 10.0, "distance from another UAV of the scenario within which it waits, m", 0.0, 1e3),
    parameter("on_link_loss", "hold", "what it does once a lost link is back: fly (goes on), hold, return or land"),
    parameter(
        "on_position_loss", "hold", "what it does when its position is lost in the air: the same; it brakes first"
    ),
    parameter("on_market_loss", "fly", "what it does when no price offer comes for 10 s: the same"),
    parameter("on_exit", "return", "what a drone under our command is told when this node ends: return, land or leave"),
    parameter("odometry_period", 0.1, "time between two odometry messages, s", PERIOD, 10.0),
    parameter("px4_dir", "", "build folder of PX4 SITL to start an instance from; empty: PX4 runs already"),
)


class Px4Node(Guarded):
    """Steps an `Autopilot` over a `Link`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("px4", **options)
        values = declare(self, PARAMETERS)
        scenario = load(values["scenario"])
        self._uav = self._find(scenario, values["uav_id"])
        self._on_exit = self._one_of(values, "on_exit", ON_EXIT)
        for loss in ("on_link_loss", "on_position_loss", "on_market_loss"):
            self._one_of(values, loss, REACTIONS)
        firmware = DIALECTS[self._one_of(values, "firmware", DIALECTS)].firmware
        limits = FlightLimits(**{field.name: values[field.name] for field in dataclasses.fields(FlightLimits)})
        fence = Fence.around(scenario, limits.fence_margin)
        self._autopilot = Autopilot(
            self._uav, scenario.origin, auto_arm=values["auto_arm"], limits=limits, fence=fence, firmware=firmware
        )
        self._published_at = -math.inf  # s, when the last pose that was published was heard
        self._told: dict[str, str] = {}  # what was told last, by its name
        self._sitl = self._start_sitl(values, scenario)
        self._link = self._make_link(values)
        self._steps_per_odometry = max(round(values["odometry_period"] / PERIOD), 1)
        self._steps = 0
        self._message = Odometry(child_frame_id=f"{self._uav.id}/base_link")
        self._message.header.frame_id = topics.MAP
        set_covariances(self._message, ESTIMATED_POSITION, ESTIMATED_TURN)
        self._odometry = self.create_publisher(Odometry, topics.odometry(self._uav.id), qos_profiles.ODOMETRY)
        self._flight = self.create_publisher(String, topics.flight(self._uav.id), LATCHED)
        self.create_subscription(Twist, topics.cmd_vel(self._uav.id), self._on_cmd_vel, qos_profiles.MEASUREMENT)
        self.create_subscription(PriceOffer, topics.PRICE_OFFERS, self._on_offer, qos_profiles.MARKET)
        for other in scenario.uavs:
            if other is not self._uav:
                self._watch_for(other.id)
        flight = self._autopilot
        orders = {"fly": flight.fly, "takeoff": flight.takeoff, "land": flight.land, "return": flight.return_home}
        self._actions = FlightActions(self, flight, orders)
        self.create_service(Trigger, "hold", self._on_hold)
        self._diagnostics = Diagnostics(self, self._describe)
        steady_timer(self, PERIOD, self._on_step)
        steady_timer(self, 1.0, self._on_second)

    def _watch_for(self, other: str) -> None:
        """Know where another UAV is."""

        def on_odometry(message: Odometry) -> None:
            at = message.pose.pose.position
            self._autopilot.see(other, (at.x, at.y, at.z), time.monotonic())

        self.create_subscription(Odometry, topics.odometry(other), on_odometry, qos_profiles.ODOMETRY)

    def _find(self, scenario: Scenario, uav_id: str) -> Uav:
        for uav in scenario.uavs:
            if uav.id == uav_id:
                return uav
        where = f"parameters of {self.get_fully_qualified_name()}"
        raise InputError(where, "uav_id", uav_id, f"a UAV of the scenario {scenario.name}")

    def _start_sitl(self, values: dict[str, Any], scenario: Scenario) -> subprocess.Popen[bytes] | None:
        if not values["px4_dir"]:
            return None
        folder = Path(tempfile.mkdtemp(prefix=f"px4_{self._uav.id}_"))
        px4 = sitl(values["px4_dir"], values["instance"], self._uav, scenario.origin)
        self.get_logger().info(f"starting PX4 instance {values['instance']}, its files in {folder}")
        return children.start(px4.command, folder, "px4.log", px4.environment)

    def _make_link(self, values: dict[str, Any]) -> Link:
        instance: int = values["instance"]
        if values["link"] == "dds":
            from uav_twin_migration.nodes.px4_dds import DdsLink  # px4_msgs need not be there otherwise

            namespace = values["dds_namespace"] or dds_namespace(instance)
            return DdsLink(self, namespace, values["system_id"] or system_id(instance))
        self._one_of(values, "link", ("mavlink", "dds"))
        where = values["address"] or address(instance)
        key = read_signing_key(values["signing_key"]) if values["signing_key"] else b""
        try:
            wire = open_wire(where)
        except OSError as error:
            raise UavTwinError(f"{self._uav.id}: cannot open {where}: {error.strerror}") from None
        number = values["system_id"] or system_id(instance)
        return MavlinkConnection(number, wire, DIALECTS[values["firmware"]], signing_key=key)

    def _one_of(self, values: dict[str, Any], name: str, allowed: Iterable[str]) -> str:
        """Raises InputError."""
        value: str = values[name]
        if value not in allowed:
            where = f"parameters of {self.get_fully_qualified_name()}"
            raise InputError(where, name, value, f"one of {', '.join(allowed)}")
        return value

    def _on_hold(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._autopilot.hold(time.monotonic())
        return response

    def _on_cmd_vel(self, message: Twist) -> None:
        wanted = (message.linear.x, message.linear.y, message.linear.z)
        self._autopilot.steer(wanted, time.monotonic() + STEERING_HOLDS)

    def _on_offer(self, _: PriceOffer) -> None:
        self._autopilot.hear_market(time.monotonic())

    def _on_step(self) -> None:
        now = time.monotonic()
        for event in self._link.events():
            self._autopilot.receive(event, now)
        for command in self._autopilot.step(now):
            self._link.send(command)
        self._say(now)
        self._actions.step(now)
        self._steps += 1
        if self._steps % self._steps_per_odometry == 0:
            odometry = self._autopilot.odometry(now)
            if odometry is not None and odometry.time > self._published_at:  # an old pose gets no new stamp
                self._published_at = odometry.time
                self._publish(odometry, now - odometry.time)

    def _on_second(self) -> None:
        self._link.keep_alive()
        if self._sitl is not None and self._sitl.poll() is not None:
            self.get_logger().error(
                f"{self._uav.id}: PX4 has ended, exit code {self._sitl.returncode}; its px4.log says why"
            )
            self._sitl = None

    def _say(self, now: float) -> None:
        """Tell when the flight has moved on, and what the autopilot says of itself."""
        flight = self._autopilot
        text = f"{flight.phase.value}: {flight.reason}" if flight.reason else flight.phase.value
        text += f" ({flight.warning})" if flight.warning else ""
        heard = flight.heard(now)
        told = {"flight": text, **{name: heard.get(name, "") for name in LOGGED}}
        for name, value in told.items():
            if value and value != self._told.get(name):
                self.get_logger().info(f"{self._uav.id} {'' if name == 'flight' else f'{name}: '}{value}")
        if any(told[name] != self._told.get(name) for name in ("flight", "autopilot_says")):
            words = f"; it says: {told['autopilot_says']}" if told["autopilot_says"] else ""
            self._flight.publish(String(data=text + words))
        self._told = told

    def _publish(self, odometry: FlownOdometry, age: float) -> None:
        message = self._message
        message.header.stamp = (self.get_clock().now() - Duration(seconds=age)).to_msg()
        pose, twist = message.pose.pose, message.twist.twist
        pose.position.x, pose.position.y, pose.position.z = odometry.position.tolist()
        w, x, y, z = odometry.attitude.tolist()
        pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z = w, x, y, z
        # an Odometry's twist is in the child frame
        twist.linear.x, twist.linear.y, twist.linear.z = to_body(odometry.attitude, odometry.velocity).tolist()
        twist.angular.x, twist.angular.y, twist.angular.z = odometry.rates.tolist()
        self._odometry.publish(message)

    def _describe(self) -> dict[str, dict[str, object]]:
        values = self._autopilot.status(time.monotonic())
        values.update({f"refused/{reason}": count for reason, count in self._link.refused.items()})
        return {f"px4/{self._uav.id}": values}

    def destroy_node(self) -> None:
        """Tells a drone under our command what to do without us, and ends PX4 where this node has started it."""
        if self._autopilot.phase in COMMANDING:
            self._take_leave()
        self._actions.close()
        self._link.close()
        if self._sitl is not None:
            children.stop([self._sitl])
        super().destroy_node()

    def _take_leave(self) -> None:
        """The last order. Left alone, PX4 notices the lost set-points after a second, and turns for home by itself."""
        self.get_logger().info(f"{self._uav.id}: this node ends in flight; the drone is {ON_EXIT[self._on_exit].said}")
        for command in ON_EXIT[self._on_exit].commands * EXIT_REPEATS:
            self._link.send(command)


def main() -> int:
    """``ros2 run uav_twin_migration px4``."""
    return run(lambda: [Px4Node()])
