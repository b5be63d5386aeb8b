"""What the book takes from outside docs/: CONTRIBUTING.md as a page, and examples/ as files that pages link to.

On GitHub their links lead out of docs/; in the book they lead to the same files within it.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

CHECKOUT = Path(__file__).resolve().parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    files.append(File.generated(config, "contributing.md", abs_src_path=str(CHECKOUT / "CONTRIBUTING.md")))
    for path in sorted((CHECKOUT / "examples").rglob("*.*")):
        files.append(File.generated(config, str(path.relative_to(CHECKOUT)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to them."""
    if page.file.src_uri == "contributing.md":
        return markdown.replace("](docs/", "](")
    return markdown.replace("](../examples/", "](examples/").replace("](../CONTRIBUTING.md", "](contributing.md")
