"""Sequence diagrams of the pages, in Mermaid's language, as SVG when the book is built: it loads nothing.

GitHub draws the same text by itself. Known are participants, messages (``->>``), notes over one participant, and loops.
"""

import html
import re
import textwrap

FENCE = re.compile(r"^```mermaid\nsequenceDiagram\n(.*?)^```$", re.MULTILINE | re.DOTALL)
APART, LINE, LETTERS = 210, 16, 30  # px from participant to participant and from line to line; letters on a line
MARGIN, HEAD = 110, 40  # px beside the outer participants, and above the first step


def drawn(markdown: str) -> str:
    """A page with its diagrams drawn. Raises ValueError for what is not known here."""
    return FENCE.sub(lambda found: figure(found[1]), markdown)


def figure(text: str) -> str:
    """One diagram, as HTML without blank lines."""
    names: dict[str, str] = {}
    marks: list[str] = []
    loops: list[tuple[float, str]] = []
    y = HEAD + 30.0
    for line in filter(None, map(str.strip, text.splitlines())):
        if found := re.fullmatch(r"participant (\w+) as (.+)", line):
            names[found[1]] = found[2]
        elif found := re.fullmatch(r"(\w+)->>(\w+): (.+)", line):
            start, end = (_x(names, name) for name in found.groups()[:2])
            lines = textwrap.wrap(found[3], LETTERS * max(abs(end - start) // APART, 1))
            marks += _words(lines, (start + end) / 2, y)
            y += LINE * len(lines)
            marks.append(f'<line x1="{start}" y1="{y:g}" x2="{end}" y2="{y:g}" marker-end="url(#to)"/>')
            y += LINE + 6
        elif found := re.fullmatch(r"Note over (\w+): (.+)", line):
            lines = textwrap.wrap(found[2], LETTERS)
            x, width = _x(names, found[1]), 7 * max(map(len, lines)) + 12
            height = LINE * len(lines) + 8
            marks.append(f'<rect class="note" x="{x - width / 2:g}" y="{y - 13:g}" width="{width}" height="{height}"/>')
            marks += _words(lines, x, y)
            y += height + 10
        elif line.startswith("loop "):
            loops.append((y - 16, line.removeprefix("loop ")))
            y += 20
        elif line == "end":
            top, said = loops.pop()
            across = APART * (len(names) - 1) + 2 * MARGIN - 8
            marks.append(f'<rect class="loop" x="4" y="{top:g}" width="{across}" height="{y - top:g}"/>')
            marks.append(f'<text class="said" x="10" y="{top + 14:g}">loop: {html.escape(said)}</text>')
            y += 24
        else:
            raise ValueError(f"a sequence diagram's line that docs/diagrams.py does not know: {line}")
    return _svg(names, marks, y)


def _x(names: dict[str, str], name: str) -> int:
    return MARGIN + APART * list(names).index(name)


def _words(lines: list[str], x: float, y: float) -> list[str]:
    return [f'<text x="{x:g}" y="{y + LINE * k:g}">{html.escape(line)}</text>' for k, line in enumerate(lines)]


def _svg(names: dict[str, str], marks: list[str], height: float) -> str:
    width = APART * (len(names) - 1) + 2 * MARGIN
    heads = []
    for name, said in names.items():
        x = _x(names, name)
        heads.append(f'<line class="life" x1="{x}" y1="{HEAD}" x2="{x}" y2="{height:g}"/>')
        heads.append(f'<rect class="head" x="{x - 75}" y="8" width="150" height="{HEAD - 8}"/>')
        heads.append(f'<text class="name" x="{x}" y="29">{html.escape(said)}</text>')
    arrow = '<marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    arrow += '<path d="M0 0L8 4L0 8z"/></marker>'
    said = html.escape("Sequence of messages between " + ", ".join(names.values()), quote=True)
    begin = f'<svg class="sequence" viewBox="0 0 {width} {height:g}" role="img" aria-label="{said}">'
    return "\n".join([begin, f"<defs>{arrow}</defs>", *heads, *marks, "</svg>"])
