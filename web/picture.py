"""A moving picture of a page, for the README: python web/picture.py PAGE.html OUT.webp [--from S] [--seconds S].

Needs playwright, Chromium and Pillow. Every frame is at its exact time, so the same page gives the same picture.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1200, 720  # px of the browser
SHOWN = (1000, 600)  # px of the picture
STEP = 0.5  # s of the city between two frames
RATE = 8  # frames a second: four times as fast as it happened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", dest="start", type=float, default=30.0, metavar="S")
    parser.add_argument("--seconds", type=float, default=40.0, metavar="S")
    args = parser.parse_args()
    frames = []
    with (
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]) as browser,
    ):
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
        tab.goto(args.page.resolve().as_uri())
        tab.wait_for_function("() => window.uavtwin && uavtwin.shown[0].map.drawn >= 0")
        tab.evaluate("uavtwin.play(false)")
        for number in range(round(args.seconds / STEP)):
            t = args.start + number * STEP
            tab.evaluate("t => uavtwin.seek(t)", t)
            tab.wait_for_function("t => Math.abs(uavtwin.shown[0].map.drawn - t) < 0.01", arg=t)
            shot = Image.open(io.BytesIO(tab.screenshot()))
            frames.append(shot.convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS))
    options = {"duration": 1000 // RATE, "loop": 0, "quality": 62, "method": 5, "minimize_size": True}
    frames[0].save(args.out, save_all=True, append_images=frames[1:], **options)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {len(frames)} frames")


if __name__ == "__main__":
    main()
