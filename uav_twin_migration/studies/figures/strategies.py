"""Migration strategies that the field argues about, on the same flights: what each costs, and what users notice.

Every strategy flies the same cities from the same seeds, in virtual time, on the sweep runner: what is done is kept in
`strategies/`, and the same command goes on. Energy is a model, not a measurement: that of a live migration is linear in
what is sent; Liu et al., "Performance and energy modeling for live migration of virtual machines", HPDC 2011.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uav_twin_migration.output import write_text
from uav_twin_migration.scenario.load import dump, load
from uav_twin_migration.scenario.model import Randomness
from uav_twin_migration.studies.figures.panels import Measure, panels
from uav_twin_migration.studies.figures.style import save
from uav_twin_migration.studies.sweep.results import Row, write_csv
from uav_twin_migration.studies.sweep.sweep import rows_of_study

SUMMARY = "migration strategies on the same flights, by age, downtime, cost and energy"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SCENARIO, SEEDS, DURATION = "default", 3, 300  # s
CHANCE = Randomness(route_phase="uniform(0, 1)", start_shift="normal(0, 25)", fading="normal(0, 3)")
AXES = ("uavs[].hosting", "twins.replicas")
STRATEGIES = {
    "reactive": ("reactive", "none"),
    "always nearest": ("nearest", "none"),
    "cost-aware": ("cost_aware", "none"),
    "predicted stay (built in)": ("longest_stay", "none"),
    "learned stay": ("learned_stay", "none"),
    "predicted stay, a replica": ("longest_stay", "one"),
}
JOULE_A_MEGABYTE, JOULE_A_MIGRATION = 0.512, 20.165  # Liu et al., fitted to Xen on their servers
MBIT, HOUR = 8.0, 3600.0


def run(directory: Path) -> None:
    """Makes the picture and its table."""
    rows = rows_of_study(study(directory / "strategies"), directory / "strategies")
    title = (
        f"{len(STRATEGIES)} strategies on the same flights, for each UAV: {SCENARIO} city, {DURATION} s, {SEEDS} seeds"
    )
    ways = {name: dict(zip(AXES, values, strict=True)) for name, values in STRATEGIES.items()}
    canvas, table = panels(rows, ways, MEASURES, title)
    path = directory / "strategies.png"
    save(canvas, path)
    write_csv(path.with_suffix(".csv"), table, list(table[0]))
    print(f"    {path}, .pdf, .svg and .csv", flush=True)


def study(folder: Path) -> Mapping[str, Any]:
    """The sweep. Its city goes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "city.yaml", dump(replace(load(SCENARIO), randomness=CHANCE)))
    return {
        "name": "migration strategies",
        "run": "virtual",
        "scenario": "city.yaml",
        "options": {"duration": DURATION},
        "design": "list",
        "over": dict(zip(AXES, map(list, zip(*STRATEGIES.values(), strict=True)), strict=True)),
        "seeds": SEEDS,
    }


# -- what is measured --------------------------------------------------------------------------------------------------


def _hours(row: Row) -> float:
    return float(row["uavs"]) * DURATION / HOUR


def moves(row: Row) -> float:
    """Migrations of a UAV's twin an hour."""
    return float(row["migrations_completed"]) / _hours(row)


def downtime(row: Row) -> float:
    """s an hour in which a twin that moves is not served."""
    done = float(row["migrations_completed"])
    return done * float(row.get("downtime_ms.mean", 0.0)) / 1e3 / _hours(row)


def cost(row: Row) -> float:
    """Credit an hour of a UAV for what was sent from RSU to RSU, at the mean price of a Mbit that it bought."""
    bought = float(row["mean_rate"]) * float(row["uavs"]) * DURATION
    return float(row["spent"]) / bought * float(row["transferred_mbit"]) / _hours(row)


def energy(row: Row) -> float:
    """kJ an hour of a UAV, by the model."""
    sent = JOULE_A_MEGABYTE * float(row["transferred_mbit"]) / MBIT
    return (sent + JOULE_A_MIGRATION * float(row["migrations_completed"])) / 1e3 / _hours(row)


MEASURES = (
    Measure("migrations", "an hour", moves),
    Measure("age of twin migration", "s", lambda row: float(row.get("age_of_migration_s.mean", "nan"))),
    Measure("downtime", "s an hour", downtime),
    Measure("twin's host out of its UAV's range", "% of the time", lambda row: 100 * float(row["hosted_out_of_range"])),
    Measure("cost of what is sent", "credit an hour", cost),
    Measure("energy (model)", "kJ an hour", energy),
)
