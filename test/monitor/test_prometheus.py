"""Metrics by Prometheus's conventions, and the alerts and the dashboard that are made of them."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.monitor.prometheus import MEANINGS, PREFIX, Histogram, samples

DEPLOY = Path(__file__).parents[2] / "deploy"
NEEDS_PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
NAME = re.compile(rf"\b{PREFIX}(\w+)")


def test_a_status_as_metrics_in_base_units() -> None:
    values = {
        "price": "2.5",
        "capacity_mhz": "31.2",
        "late_ms": "250",
        "round": "1790000000000",
        "rsus_heard": "east,south",
        "refused/overdue": "3",
        "total/rounds": "7",
        "draining": "False",
        "trouble": "no disk",
        "policy_out_of_range": "no",
        "offer_to_grant_ms": "",
    }
    labels = {"kind": "rsu", "id": "north"}
    found = {(one.name, one.labels.get("reason", "")): one for one in samples("rsu/north", 2, values)}
    assert {key: one.value for key, one in found.items()} == pytest.approx(
        {
            ("status_level", ""): 2.0,
            ("trouble", ""): 1.0,
            ("price_credits_per_hertz", ""): 2.5e-6,
            ("capacity_hertz", ""): 31.2e6,
            ("late_seconds", ""): 0.25,
            ("rsus_heard", ""): 2.0,
            ("refused_total", "overdue"): 3.0,
            ("rounds_total", ""): 7.0,
            ("draining", ""): 0.0,
            ("policy_out_of_range", ""): 0.0,
        }
    )
    assert found["rounds_total", ""].kind == "counter"
    assert found["capacity_hertz", ""].kind == "gauge"
    assert all(labels.items() <= one.labels.items() for one in found.values())


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=8))
def test_whatever_a_node_says_the_values_are_finite(status: str, values: dict[str, str]) -> None:
    assert all(math.isfinite(one.value) for one in samples(status, 0, values))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_a_histogram_counts_times(seconds: list[float]) -> None:
    histogram = Histogram((0.1, 1.0))
    for one in seconds:
        histogram.observe(one)
    times = [one for one in seconds if math.isfinite(one) and one >= 0.0]
    bounds = [(bound, sum(one <= bound for one in times)) for bound in (0.1, 1.0)]
    assert histogram.buckets() == [*((repr(bound), count) for bound, count in bounds), ("+Inf", len(times))]


def expressions() -> dict[str, str]:
    """Of all alerts, and of all panels of the dashboard."""
    groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    found = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    for panel in dashboard()["panels"]:
        found |= {f"{panel['title']} {one['refId']}": one["expr"] for one in panel["targets"]}
    return found


def dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "grafana/rsus.json").read_text()))


@pytest.mark.parametrize("title", expressions())
def test_alerts_and_panels_are_made_of_metrics_that_there_are(title: str) -> None:
    for name in NAME.findall(expressions()[title]):
        assert name.removesuffix("_bucket") in MEANINGS, f"{title}: {name}"


def test_the_dashboard_has_what_grafana_needs() -> None:
    """Its form as of Grafana 11 (schemaVersion 39): it was not opened in the program.

    On 2026-11-30 it was checked, unknown keys refused, against the types of Grafana 13.2 (npm's @grafana/schema 13.2.3;
    for queries grafana-foundation-sdk 0.0.21), and read and written without loss by Grafana 10.1's model (PyPI's
    grafana-foundation-sdk).
    """
    board = dashboard()
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= set(board)
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken)), "panels lie on each other"
    assert max(x for x, _ in taken) == 23


@NEEDS_PROMTOOL
def test_promtool_is_content(tmp_path: Path) -> None:
    folder = DEPLOY / "prometheus"
    for arguments in (["check", "config", "prometheus.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$rsu", "north")}
        for number, expression in enumerate(expressions().values())
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
