"""The page as one self-contained file: what web/ was built to, and the runs that it shows."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from uav_twin_migration.monitor.frames import Cast, Frame, cast_to_json, frame_to_json

PARTS = Path(__file__).with_name("page")


class Run(NamedTuple):
    """One run that a page shows."""

    label: str
    cast: Cast
    frames: Sequence[Frame]


Difference = tuple[str, str, str, str]  # what, in the first run, in the second, who is better off in the second


def page(runs: Sequence[Run] = (), differences: Sequence[Difference] = ()) -> str:
    """HTML that needs nothing else. Without runs it asks the server that it came from for a live city."""
    document: dict[str, Any] = {
        "live": False,
        "runs": [
            {"label": run.label, "cast": cast_to_json(run.cast), "frames": [frame_to_json(one) for one in run.frames]}
            for run in runs
        ],
    }
    if differences:
        document["table"] = differences
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    packed = base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode() if runs else ""
    script = (PARTS / "page.js").read_text(encoding="utf-8")
    parts = {
        "policy": content_policy(script),
        "style": (PARTS / "page.css").read_text(encoding="utf-8"),
        "data": packed,
        "script": script,
    }
    template = (PARTS / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], template)


def content_policy(script: str) -> str:
    """What a browser lets the page do: run this script, draw, and speak to its own server. Nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'self' ws: data: blob:; base-uri 'none'; form-action 'none'"
    )
