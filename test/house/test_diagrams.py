"""The book's sequence diagrams: drawn from Mermaid's text, or refused."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
MADE = runpy.run_path(str(DOCS / "diagrams.py"))
drawn, figure = MADE["drawn"], MADE["figure"]
SMALL = """participant A as first
participant B as second <of two>
A->>B: Ask(what & how)
Note over B: thinks
loop while there is more
    B->>A: Answer
end
"""


def test_a_diagram_is_an_svg_that_says_everything() -> None:
    svg = ElementTree.fromstring(figure(SMALL))
    said = " ".join(one.text or "" for one in svg.iter() if one.tag == "text")
    for words in ("first", "second <of two>", "Ask(what & how)", "thinks", "loop: while there is more", "Answer"):
        assert words in said
    _, _, width, height = map(float, str(svg.get("viewBox")).split())
    for one in svg.iter("rect"):
        assert 0 <= float(str(one.get("x"))) <= float(str(one.get("x"))) + float(str(one.get("width"))) <= width
        assert float(str(one.get("y"))) + float(str(one.get("height"))) <= height


def test_it_holds_no_blank_line_which_would_end_html_in_markdown() -> None:
    page = drawn(f"before\n\n```mermaid\nsequenceDiagram\n{SMALL}```\n\nafter\n")
    inside = page.removeprefix("before\n\n").removesuffix("\n\nafter\n")
    assert inside.startswith("<svg")
    assert "\n\n" not in inside


def test_every_diagram_of_the_pages_is_drawn() -> None:
    for path in DOCS.rglob("*.md"):
        assert "```mermaid" not in drawn(path.read_text(encoding="utf-8")), path


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="A-->>B: no"):
        figure("participant A as a\nA-->>B: no\n")
