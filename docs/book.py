"""What the book takes from outside docs/: CONTRIBUTING.md as a page, and examples/ as files that pages link to.

On GitHub their links lead out of docs/; in the book they lead to the same files within it.
"""

import itertools
import re
import sys
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

TABLE = re.compile("<table>.*?</table>", re.DOTALL)
CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "docs"))

from diagrams import drawn  # noqa: E402


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    files.append(File.generated(config, "contributing.md", abs_src_path=str(CHECKOUT / "CONTRIBUTING.md")))
    for path in sorted((CHECKOUT / "examples").rglob("*.*")):
        files.append(File.generated(config, str(path.relative_to(CHECKOUT)), abs_src_path=str(path)))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Name each cell's column: on a phone, a row of a wide table becomes a card (book.css)."""
    return TABLE.sub(lambda table: labelled(table[0]), html)


def labelled(table: str) -> str:
    """A table of HTML, each of whose cells has its column's name."""
    names = [re.sub("<[^>]*>", "", name) for name in re.findall("<th[^>]*>(.*?)</th>", table, re.DOTALL)]

    def row(found: re.Match[str]) -> str:
        column = itertools.count()
        return re.sub("<td", lambda _: f'<td data-label="{escape(names[next(column)])}"', found[0])

    return re.sub("<tr>.*?</tr>", row, table, flags=re.DOTALL)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to them, and draw diagrams."""
    markdown = drawn(markdown)
    if page.file.src_uri == "contributing.md":
        return markdown.replace("](docs/", "](")
    return markdown.replace("](../examples/", "](examples/").replace("](../CONTRIBUTING.md", "](contributing.md")
