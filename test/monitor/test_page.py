"""The page in a real browser: Chromium, driven by Playwright, without a network and without a GPU."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test.monitor import said
from test.monitor.test_replay import RECORDING
from uav_twin_migration.game.equilibrium import solve
from uav_twin_migration.game.market import Market
from uav_twin_migration.monitor.frames import Event
from uav_twin_migration.monitor.html import Run, page
from uav_twin_migration.monitor.replay import Replay, replay
from uav_twin_migration.monitor.server import PageServer
from uav_twin_migration.scenario.load import load

playwright = pytest.importorskip("playwright.sync_api", reason="the page is not tested: needs playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="the page is NOT TESTED: needs Chromium (apt-get install chromium)"),
]
PATIENCE = 30_000  # ms
TRACK = "uavtwin.shown[0].track"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def seen() -> Replay:
    return replay(RECORDING, load("small"))


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab without a network that collects what went wrong in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.wrong = []
    opened.asked = []
    opened.on("console", lambda said: opened.wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: opened.wrong.append(str(error)))
    opened.on("dialog", lambda dialog: opened.wrong.append("dialog: " + dialog.message))
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    assert opened.wrong == []
    context.close()


def show(tab: Any, folder: Path, html: str) -> None:
    """Open a page from disk, and wait until it has drawn."""
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    tab.goto(file.as_uri())
    tab.wait_for_function("() => window.uavtwin && uavtwin.shown.every(one => one.map.drawn >= 0)")


def test_a_recording_opens_from_disk_and_asks_for_nothing(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    assert [url for url in tab.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert tab.inner_text("#name") == "small"
    assert "2 RSUs" in tab.inner_text("#about")
    assert tab.locator("#charts .uplot").count() == 6


def test_the_page_shows_what_the_summary_says(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    samples = tab.evaluate(f"{TRACK}.samples.map(one => one.s)")
    found = [one["x"] for one in samples if one["x"] is not None]
    assert np.mean(found) == pytest.approx(seen.summary["exploitability"], rel=1e-3)
    assert samples[-1]["mig"] == [seen.summary["migrations_completed"], seen.summary["migrations_failed"]]
    tab.evaluate("uavtwin.play(false); uavtwin.seek(Infinity)")
    tab.wait_for_function(f"() => uavtwin.shown[0].map.drawn >= {TRACK}.end - 0.01")
    shown = samples[-1]["x"]
    tab.wait_for_function("() => document.querySelector('#n-x').textContent != '–'")
    assert tab.inner_text("#n-x") == ("–" if shown is None else f"{100 * shown:.2f} %")


def test_the_slider_moves_uavs(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    tab.evaluate("uavtwin.play(false)")
    places = []
    for t in (30.0, 40.0):
        tab.evaluate(
            "t => { const s = document.querySelector('#time'); s.value = t; s.dispatchEvent(new Event('input')) }", t
        )
        tab.wait_for_function("t => Math.abs(uavtwin.shown[0].map.drawn - t) < 0.1", arg=t)
        places.append(tab.evaluate("uavtwin.shown[0].map.position"))
    moved = [np.hypot(a["x"] - b["x"], a["y"] - b["y"]) for a, b in zip(*places, strict=True)]
    assert max(moved) > 20.0


def test_two_runs_share_one_clock(tab: Any, tmp_path: Path, seen: Replay) -> None:
    rows = [("mean immersion", "30.1", "33.4", "users: b")]
    show(tab, tmp_path, page([Run("a", seen.cast, seen.frames), Run("b", seen.cast, seen.frames)], rows))
    tab.wait_for_function(f"() => uavtwin.shown[0].map.drawn > {TRACK}.start + 0.5")
    first, second = tab.evaluate("uavtwin.shown.map(one => one.map.drawn)")
    assert abs(first - second) <= 0.1
    assert tab.inner_text("#difference-rows td:last-child") == "users: b"


def test_below_two_runs_charts_are_their_differences(tab: Any, tmp_path: Path, seen: Replay) -> None:
    better = [
        replace(frame, sample=replace(frame.sample, immersion=frame.sample.immersion + 2.0)) if frame.sample else frame
        for frame in seen.frames
    ]
    show(tab, tmp_path, page([Run("a", seen.cast, seen.frames), Run("b", seen.cast, better)]))
    tab.wait_for_function("() => document.querySelectorAll('#charts [data-strip]').length == 6")
    drawn = tab.evaluate("uavtwin.charts.plots.map(one => one.strip.data[1].filter(value => value !== null))")
    price, exploitability, immersion, *rest = drawn
    assert set(price) == set(exploitability) == {0}
    assert max(immersion) == pytest.approx(2.0)
    assert {value for values in rest for value in values} == {0}


def test_a_chart_is_saved_with_the_names_of_its_lines(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    for kind, wanted in (("CSV", "time_s,rsu_1 posted,rsu_1 equilibrium,rsu_2 posted"), ("SVG", "Price, credit/MHz")):
        with tab.expect_download() as saved:
            tab.evaluate(f"document.querySelector('[aria-label=\"Save Price as {kind}\"]').click()")
        assert saved.value.suggested_filename == f"price.{kind.lower()}"
        assert wanted in Path(saved.value.path()).read_text(encoding="utf-8")


def test_the_page_solves_the_market_as_the_game_does(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    read = """() => { const track = uavtwin.shown[0].track; return track.samples.slice(-4).map(({s}) => {
        const market = game.marketOf(track.cast, s); if (!market) return null;
        return [game.marketFile(market, s.price), game.equilibrium(market, s.price)]; }); }"""
    for document, found in filter(None, tab.evaluate(read)):
        wanted = solve(Market.from_json(document, "the page"))
        assert wanted.found
        assert found == pytest.approx(wanted.prices.tolist(), rel=1e-3)


def test_what_if_moves_the_dashed_lines(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    tab.evaluate("uavtwin.play(false); uavtwin.seek(Infinity); uavtwin.shown[0].map.onPick({kind: 'rsu', index: 0})")
    slider = tab.locator("aside input[data-key=cost]")
    slider.evaluate("s => { s.value = s.max; s.dispatchEvent(new Event('input')) }")
    tab.wait_for_function("() => document.querySelector('.verdict').textContent.includes('equilibrium')")
    before, after = tab.evaluate(f"[{TRACK}.samples.at(-1).s.eq[0], uavtwin.charts.whatIf.prices[0]]")
    assert before is None or after > before


def test_hostile_names_show_as_text(tab: Any, tmp_path: Path, seen: Replay) -> None:
    bad = "<img src=x onerror=alert(1)>{{data}}</script><script>alert(2)</script>"
    cast = replace(
        seen.cast,
        name=bad,
        rsus=tuple(rsu._replace(id=bad) for rsu in seen.cast.rsus),
        uavs=tuple(uav._replace(id=bad) for uav in seen.cast.uavs),
        about={bad: bad},
    )
    frames = [replace(frame, events=(Event(frame.time, "health", bad),)) for frame in seen.frames]
    show(tab, tmp_path, page([Run(bad, cast, frames)], [(bad, bad, bad, bad)]))
    tab.evaluate("uavtwin.seek(Infinity); uavtwin.shown[0].map.onPick({kind: 'uav', index: 0})")
    tab.wait_for_selector("aside h2")
    assert tab.inner_text("#name") == bad
    assert tab.inner_text("aside h2") == bad
    assert bad in tab.inner_text("#events li:first-child")
    assert tab.locator("img").count() == 0
    assert tab.locator("script").count() == 2


def test_it_is_used_with_the_keyboard_and_every_control_has_a_name(tab: Any, tmp_path: Path, seen: Replay) -> None:
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    dark = tab.get_attribute("html", "data-theme")
    tab.keyboard.press("t")
    assert tab.get_attribute("html", "data-theme") != dark
    tab.keyboard.press(" ")
    assert tab.get_attribute("#play", "aria-label") == "Play"
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function(f"() => Math.abs(uavtwin.shown[0].map.drawn - {TRACK}.start - 1) < 0.01")
    tab.keyboard.press("f")
    assert tab.evaluate("uavtwin.shown[0].map.followed") == 0
    tab.keyboard.press("Escape")
    assert tab.evaluate("uavtwin.shown[0].map.followed") is None
    unnamed = """[...document.querySelectorAll('button, input, select, canvas')].filter(one => !one.ariaHidden
        && !one.closest('.uplot') && !(one.getAttribute('aria-label') || one.textContent || '').trim()).length"""
    assert tab.evaluate(unnamed) == 0


def test_it_fits_a_phone(tab: Any, tmp_path: Path, seen: Replay) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    show(tab, tmp_path, page([Run("small", seen.cast, seen.frames)]))
    tab.evaluate("uavtwin.seek(Infinity); uavtwin.shown[0].map.onPick({kind: 'rsu', index: 0})")
    tab.wait_for_selector("aside .curve")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_live_city_is_seen_as_it_happens(browser: Any) -> None:
    server = PageServer(page())
    context = browser.new_context()
    tab = context.new_page()
    try:
        listener = said.small_city()
        server.show(listener.city.cast(), listener.frame(0.6, sampled=True))
        tab.goto(server.url)
        tab.wait_for_function(f"() => window.uavtwin && {TRACK}.frames.length == 1")
        uav = next(iter(listener.city.uavs))
        listener.hear(1.0, f"/uav/{uav}/odometry", "Odometry", said.odometry(77.0, 20.0))
        server.show(listener.city.cast(), listener.frame(1.0, sampled=True))
        tab.wait_for_function(f"() => {TRACK}.frames.length == 2 && {TRACK}.frames[1].p[0] == 77")
        assert tab.inner_text("#name") == "small"
        assert tab.is_visible("#live")
    finally:
        context.close()
        server.close()
