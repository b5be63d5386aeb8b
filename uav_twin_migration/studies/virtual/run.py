"""One run in virtual time, from a scenario and a seed to a summary: what `sim --virtual` and sweeps call."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uav_twin_migration import __version__
from uav_twin_migration.deployment.options import Options
from uav_twin_migration.errors import InputError
from uav_twin_migration.monitor.frames import Frame, Sample
from uav_twin_migration.monitor.settling import Settling
from uav_twin_migration.recording.provenance import provenance
from uav_twin_migration.scenario.faults import schedule
from uav_twin_migration.scenario.load import load
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.scenario.settings import Refusal
from uav_twin_migration.scenario.vary import as_run
from uav_twin_migration.studies.virtual.city import City
from uav_twin_migration.studies.virtual.faults import carry_out
from uav_twin_migration.studies.virtual.messages import BYTES_PER_MBIT
from uav_twin_migration.twin.hosting.memory_store import IN_MEMORY

if TYPE_CHECKING:
    from uav_twin_migration.studies.virtual.recorder import Recorder

DURATION = 60.0  # s, where nobody says
LOOK = 0.2  # s between two looks while the run begins
FRAME = 0.1  # s between two frames for who views
LINGER = 0.05  # s after its end until who watches `sim` has seen that it is over: it looks ten times a second
SELDOM = 100_000  # objects more than before, until Python looks for cycles: events make none, and looking takes long
SAMPLE = 1.0  # s between two comparisons with the equilibrium

Tick = Callable[[City], None]
Watch = Callable[[City, Sample], None]
View = Callable[[City, Frame], None]


def run(
    scenario: Scenario | str,
    seed: int = 0,
    duration: float = DURATION,
    policy: str = "",
    twins: bool = True,
    exploration: float = -1.0,
    faults: Sequence[str] = (),
    compose: str = "auto",
    watch: Watch | None = None,
    say: Callable[[str], None] = lambda line: None,
    record: Path | None = None,
    learned: Path | None = None,
    train: bool = False,
    view: View | None = None,
    twin_stores: str = IN_MEMORY,
    tick: Tick = lambda city: None,
) -> dict[str, Any]:
    """Play a scenario for `duration` s, and say what happened: the keys of `sim --json`.

    The same arguments give the same summary, to the bit.

    Args:
        scenario: or its file, or the name of a shipped one.
        seed: of everything random.
        policy: what RSUs price with, as of `sim`; empty for the shipped one.
        twins: whether RSUs host the UAVs' twins.
        exploration: noise on the RSUs' actions; -1 for none.
        faults: more of them than the scenario has; see `scenario/faults.py`.
        compose: how nodes are put together, as of `sim`.
        watch: called once a simulated second with what is seen then. Each equilibrium is then solved by itself, which
            takes longer, and its last digits may differ from those that are solved together.
        say: gets a line about the first grant and the first full round.
        record: new folder for a recording, which `view`, `export` and `compare` read.
        train: RSUs start untrained, and a learner learns while it runs. learned: file for its newest policy.
        view: called with each frame, ten a simulated second.
        tick: called once a simulated second, after `watch`.
        twin_stores: folder for stores on a disk; without, they are in memory.

    Raises:
        InputError: the scenario, the policy or a fault is not as it must be.
    """
    world = load(scenario) if isinstance(scenario, str) else scenario
    options = Options(
        seed=seed,
        policy=policy,
        exploration=exploration,
        compose=compose,
        duration=duration,
        twin_stores=twin_stores if twins else "",
        train=train,
        learned=str(learned or ""),
    )
    try:
        planned = schedule((*world.faults, *faults), {rsu.id for rsu in world.rsus})
    except Refusal as refusal:
        raise InputError("faults", refusal.where(), refusal.value, refusal.expected) from None
    city = City(as_run(world, seed), options, {"seed": str(seed), "version": __version__})
    carry_out(city, planned)
    settling = Settling(city.listener.market_of_scenario, say)
    recorder = city.air.recorder = None if record is None else _recorder(record, city.scenario, options)
    thresholds = gc.get_threshold()
    try:
        gc.set_threshold(SELDOM, *thresholds[1:])
        _play(city, duration, settling, watch, view, tick)
    finally:
        gc.set_threshold(*thresholds)
        if recorder is not None:
            recorder.close()
    return {
        **city.listener.summary(),
        "first_grant_s": settling.first_grant,
        "first_full_round_s": settling.first_full_round,
        "messages_per_s": city.listener.messages / max(duration, 1e-3),
        "transferred_mbit": sum(one.sent for one in city.carriers.values()) / BYTES_PER_MBIT,
        "seed": seed,
        "real_time_factor": None,  # of the machine, not of the run
        "real_time_factor_wanted": None,
    }


def _recorder(directory: Path, scenario: Scenario, options: Options) -> Recorder:
    from uav_twin_migration.studies.virtual.recorder import Recorder

    about, files = provenance(scenario, options.pricing["policy"], options.seed, simulated=True)
    return Recorder(directory, about, files)


def _play(city: City, duration: float, settling: Settling, watch: Watch | None, view: View | None, tick: Tick) -> None:
    """Samples are taken half-way between rounds, which start at whole periods."""
    market, now, next_sample, frames = city.listener.market_of_scenario, 0.0, SAMPLE / 2.0, 0
    while now < duration:
        look = next_sample if market.full else min(next_sample, now + LOOK)
        next_frame = (frames + 1) * FRAME if view is not None else math.inf
        now = min(look, next_frame, duration)
        city.run(now)
        settling.look(now)
        sampled = now >= next_sample
        if view is not None and (sampled or now >= next_frame):
            frames += now >= next_frame
            view(city, city.listener.frame(city.air.clock, sampled))
        elif sampled and watch is not None:
            watch(city, city.listener.sample(city.air.clock))
        elif sampled:
            city.listener.note(city.air.clock)
        if sampled:
            next_sample += SAMPLE
            tick(city)
    city.run(duration + LINGER)
