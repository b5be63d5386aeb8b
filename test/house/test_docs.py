"""The references say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from test.house.imports import imported
from uav_twin_migration import __version__

CHECKOUT = Path(__file__).resolve().parents[2]


def section(text: str, title: str) -> str:
    """One second-level section of a page."""
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"no section {title}"
    return found.group(1)


@pytest.mark.ros
@pytest.mark.parametrize(
    ("node", "module", "table"),
    [
        ("world", "world", "PARAMETERS"),
        ("link", "link", "PARAMETERS"),
        ("modem", "modem", "PARAMETERS"),
        ("monitor", "monitor", "PARAMETERS"),
        ("learner", "learner", "PARAMETERS"),
        ("recorder", "recorder", "PARAMETERS"),
        ("px4", "px4", "PARAMETERS"),
        ("pilot", "pilot", "PARAMETERS"),
        ("gazebo", "gazebo", "PARAMETERS"),
        ("metrics", "metrics", "PARAMETERS"),
    ],
)
def test_every_parameter_is_documented_as_it_is_declared(node: str, module: str, table: str) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2")
    page = section((CHECKOUT / "docs" / "parameters.md").read_text(), node)
    rows = {row[0]: row for row in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| (.+) \|$", page, re.M)}
    declared = getattr(imported(f"uav_twin_migration.nodes.{module}"), table)
    assert rows.keys() == {parameter.name for parameter in declared}
    for one in declared:
        _, _, shown, meaning = rows[one.name]
        assert meaning == one.meaning
        if one.required:
            assert shown == "required"
        elif one.default != "":
            assert shown.strip("`").lower() == str(one.default).lower()


def test_what_is_made_from_the_table_of_settings_is_up_to_date() -> None:
    from uav_twin_migration.scenario import documentation

    for path, text in documentation.written().items():
        there = (CHECKOUT / path).read_text(encoding="utf-8")
        assert there == text, f"python3 -m {documentation.__name__} writes {path}"


def test_every_interface_is_documented_with_all_its_fields() -> None:
    page = (CHECKOUT / "docs" / "interfaces.md").read_text()
    for path in [*CHECKOUT.glob("msg/*.msg"), *CHECKOUT.glob("srv/*.srv"), *CHECKOUT.glob("action/*.action")]:
        text = section(page, path.stem)
        for line in path.read_text().splitlines():
            field = line.partition("#")[0].split()
            if len(field) == 2 and field[1] != "header":
                assert f"`{field[1]}`" in text, f"{path.name}: {field[1]} is not in docs/interfaces.md"


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [CHECKOUT / "README.md", *CHECKOUT.glob("docs/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_refusal_is_documented() -> None:
    from uav_twin_migration.market.messages import Refusal

    page = (CHECKOUT / "docs" / "market.md").read_text()
    for reason in Refusal:
        assert f"`{reason.value}`" in page


@pytest.mark.parametrize(("second", "least"), [("what happens", 20), ("bound", 15)])
def test_every_attack_is_a_test(second: str, least: int) -> None:
    page = (CHECKOUT / "docs" / "security.md").read_text()
    table = page.partition(f"| attack | {second} | shown by |\n")[2].partition("\n\n")[0]
    rows = table.splitlines()[1:]
    assert len(rows) > least
    for row in rows:
        named = re.findall(r"`(test/[^`]+)::(test_\w+)` \|$", row)
        assert named, f"docs/security.md names no test for: {row[:80]}"
        for file, test in named:
            assert f"def {test}(" in (CHECKOUT / file).read_text(), f"{file} has no {test}"


def test_one_version_everywhere() -> None:
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="needs catkin_pkg")
    versions = [version for version, _, _ in changelog.get_changelog_from_path(str(CHECKOUT)).foreach_version()]
    assert __version__ in versions
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert {citation["version"], citation["preferred-citation"]["version"]} == {__version__}
    assert f"<version>{__version__}</version>" in (CHECKOUT / "package.xml").read_text()
