"""Migration strategies that the field argues about, on the same flights: what each costs, and what users notice.

Every strategy flies the same cities from the same seeds, in virtual time, on the sweep runner: what is done is kept in
`strategies/`, and the same command goes on. Energy is a model, not a measurement: that of a live migration is linear in
what is sent; Liu et al., "Performance and energy modeling for live migration of virtual machines", HPDC 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uav_twin_migration.output import write_text
from uav_twin_migration.scenario.load import dump, load
from uav_twin_migration.scenario.model import Randomness
from uav_twin_migration.studies.figures.style import save
from uav_twin_migration.studies.sweep.results import Row, band, write_csv
from uav_twin_migration.studies.sweep.sweep import rows_of_study

SUMMARY = "migration strategies on the same flights, by age, downtime, cost and energy"
NEEDS = ()  # groups of setup.py's REQUIREMENTS besides the command's

SCENARIO, SEEDS, DURATION = "default", 5, 600  # s
CHANCE = Randomness(route_phase="uniform(0, 1)", start_shift="normal(0, 25)", fading="normal(0, 3)")
STRATEGIES = {  # name -> hosting decision, replicas
    "reactive": ("reactive", "none"),
    "always nearest": ("nearest", "none"),
    "cost-aware": ("cost_aware", "none"),
    "predicted stay (built in)": ("longest_stay", "none"),
    "learned stay": ("learned_stay", "none"),
    "predicted stay, a replica": ("longest_stay", "one"),
}
JOULE_A_MEGABYTE, JOULE_A_MIGRATION = 0.512, 20.165  # Liu et al., fitted to Xen on their servers
MBIT, HOUR = 8.0, 3600.0
BLUE, GREY = "#0072b2", "#999999"


class Measure(NamedTuple):
    """One panel."""

    title: str
    unit: str
    of: Callable[[Row], float]


def run(directory: Path) -> None:
    """Makes the picture and its table."""
    rows = rows_of_study(study(directory / "strategies"), directory / "strategies")
    canvas, table = picture(rows)
    path = directory / "strategies.png"
    save(canvas, path)
    write_csv(path.with_suffix(".csv"), table, list(table[0]))
    print(f"    {path}, .pdf, .svg and .csv", flush=True)


def study(folder: Path) -> Mapping[str, Any]:
    """The sweep. Its city goes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "city.yaml", dump(replace(load(SCENARIO), randomness=CHANCE)))
    hosting, replicas = zip(*STRATEGIES.values(), strict=True)
    return {
        "name": "migration strategies",
        "run": "virtual",
        "scenario": "city.yaml",
        "options": {"duration": DURATION},
        "design": "list",
        "over": {"uavs[].hosting": list(hosting), "twins.replicas": list(replicas)},
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
    Measure("age of users' information, p95", "ms", lambda row: float(row["age_of_information_ms.p95"])),
    Measure("cost of what is sent", "credit an hour", cost),
    Measure("energy (model)", "kJ an hour", energy),
)


def picture(rows: list[Row]) -> tuple[Figure, list[dict[str, Any]]]:
    """A panel a measure, a line a strategy: interquartile mean, its 95 % interval, and every seed as a dot."""
    canvas = Figure(figsize=(14.5, 6.4), layout="constrained")
    title = (
        f"{len(STRATEGIES)} strategies on the same flights: {SCENARIO} city, {DURATION} s, {SEEDS} seeds, for each UAV"
    )
    canvas.suptitle(f"{title}\ninterquartile means with their 95 % intervals; dots are seeds", fontsize=11)
    panels = canvas.subplots(2, 3, sharey=True).ravel()
    table: list[dict[str, Any]] = []
    for measure, axes in zip(MEASURES, panels, strict=True):
        for place, (name, kind) in enumerate(STRATEGIES.items()):
            there = [row for row in rows if (row["uavs[].hosting"], row["twins.replicas"]) == kind]
            values = [measure.of(row) for row in there]
            middle, low, high = band(values)[1:]
            axes.plot(values, [place] * len(values), ".", color=GREY, ms=4, zorder=1)
            axes.plot([low, high], [place, place], color=BLUE, lw=2)
            axes.plot([middle], [place], "o", color=BLUE, ms=6)
            entry = {"strategy": name, "measure": measure.title, "unit": measure.unit}
            table.append(entry | {"runs": len(values), "middle": middle, "low": low, "high": high})
        _labels(axes, measure)
    return canvas, table


def _labels(axes: Axes, measure: Measure) -> None:
    axes.set_title(measure.title, fontsize=10)
    axes.set_xlabel(measure.unit)
    axes.set_yticks(range(len(STRATEGIES)), list(STRATEGIES))
    axes.set_ylim(len(STRATEGIES) - 0.5, -0.5)
    axes.set_xlim(left=0.0)
    axes.grid(alpha=0.25, axis="x")
