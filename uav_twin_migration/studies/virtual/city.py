"""A whole city in virtual time, made of the same plan of nodes as `sim`."""

from __future__ import annotations

from typing import Any

from uav_twin_migration.deployment.options import Options
from uav_twin_migration.deployment.plan import NodeSpec, plan
from uav_twin_migration.monitor.listener import Listener
from uav_twin_migration.scenario.chance import Draw, drawer, stream
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.parameters import listed, own_settings, parameters_of
from uav_twin_migration.scenario.settings import RSU, UAV, Setting
from uav_twin_migration.studies.virtual.air import Air
from uav_twin_migration.studies.virtual.carrier import Carrier
from uav_twin_migration.studies.virtual.events import Events
from uav_twin_migration.studies.virtual.flights import Periods
from uav_twin_migration.studies.virtual.learner import VirtualLearner
from uav_twin_migration.studies.virtual.network import Network
from uav_twin_migration.studies.virtual.payload import BlankTwins
from uav_twin_migration.studies.virtual.rsu import VirtualRsu
from uav_twin_migration.studies.virtual.uavs import VirtualUavs
from uav_twin_migration.studies.virtual.world import World
from uav_twin_migration.twin.hosting.store_database import CLOCK_ZERO

WALL_CLOCK = 1_800_000_000.0  # s since 1970 at time 0: of every run, so that no run depends on its day


class City:
    """Everybody, and the clock."""

    def __init__(self, scenario: Scenario, options: Options, about: dict[str, str] | None = None) -> None:
        """The processes of `deployment/plan.py`. options: as of `sim`; `twin_stores` says whether there are twins."""
        self.scenario, self.seed = scenario, options.seed
        self.events, self.wall_clock = Events(), WALL_CLOCK
        self.wall_clock_in_2020 = int(WALL_CLOCK - CLOCK_ZERO)
        chance = scenario.randomness
        loss, dice = chance.message_loss, stream(options.seed, "loss")
        delay = drawer(chance.message_delay, stream(options.seed, "delay"), 0.0, LONGEST_DELAY)
        self.network = Network(self.events, delay, (lambda: dice.random() < loss) if loss else (lambda: False))
        self.listener = Listener(scenario, about)
        self.air = Air(self.events, self.network, self.listener)
        self.carriers: dict[str, Carrier] = {}
        self.application = BlankTwins()
        phases = stream(options.seed, "phase")
        self.phase: Draw = phases.random
        nodes = [node for process in plan(scenario, "", options) for node in process.nodes]
        of = {kind: [node for node in nodes if node.executable == kind] for kind in KINDS}
        world, link = of["world"][0].parameters, of["link"][0].parameters
        self.world = World(self, Periods(world["clock_period"], world["odometry_period"], link["period"]))
        for node in of["rsu"]:
            rsu = VirtualRsu(self, _filled(node.parameters, parameters_of(RSU)))
            self.air.rsus[rsu.name] = rsu
        for node in (*of["uav"], *of["uav_container"]):
            self._add_uavs(node)
        for node in of["learner"]:
            self.air.learner = VirtualLearner(self, node.parameters)
        self._start()

    def disk_delay(self, name: str) -> Draw:
        """What draws how long an RSU's disk takes for a commit, s."""
        dice = stream(self.seed, f"disk of {name}")
        draw = drawer(self.scenario.randomness.disk_delay, dice, 0.0, LONGEST_DELAY)
        return lambda: draw() * self.network.slowness.get(name, 1.0)

    def run(self, until: float) -> None:
        """Go on until a time, s."""
        self.events.run(until)

    def _add_uavs(self, node: NodeSpec) -> None:
        own = [one.name for one in own_settings()]
        if node.executable == "uav":
            each = [node.parameters]
        else:
            columns = [node.parameters[listed(name)] for name in own]
            shared = {name: value for name, value in node.parameters.items() if name not in map(listed, own)}
            each = [{**shared, **dict(zip(own, row, strict=True))} for row in zip(*columns, strict=True)]
        values = [_filled(one, parameters_of(UAV)) for one in each]
        name = node.namespace.rpartition("/")[2]
        uavs = VirtualUavs(self, name, values)
        self.air.uavs.append(uavs)
        for one in values:
            self.air.process_of[one["uav_id"]] = uavs

    def _start(self) -> None:
        draw = drawer(self.scenario.randomness.start_delay, stream(self.seed, "start"), 0.0, LONGEST_START)
        everybody: list[VirtualRsu | VirtualUavs] = [*self.air.rsus.values(), *self.air.uavs]
        for one in everybody:
            one.process.kill()
            self.events.at(draw(), one.start)
        self.events.at(0.0, self.world.tick)


KINDS = ("world", "link", "rsu", "uav", "uav_container", "learner")
LONGEST_DELAY, LONGEST_START = 60.0, 3600.0  # s


def _filled(parameters: dict[str, Any], settings: tuple[Setting, ...]) -> dict[str, Any]:
    """A node's parameters with the defaults of those that the plan leaves out."""
    return {one.name: one.default for one in settings if not one.required} | parameters
