"""Plug-ins are found, checked, used, and caught where they fail."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from uav_twin_migration import plugins
from uav_twin_migration.cli.main import main
from uav_twin_migration.errors import UavTwinError
from uav_twin_migration.plugins import KINDS, Plugged, PluginError, load, make, read
from uav_twin_migration.scenario import load as scenario

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples" / "plugins"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return f"{path}:Own"


def test_a_text_is_a_place_and_options() -> None:
    assert read("pricing", "nearest") == ("nearest", {})
    assert read("pricing", "a.b:C( x=1, y=[1, 2], z='(')") == ("a.b:C", {"x": 1, "y": [1, 2], "z": "("})


@pytest.mark.parametrize("text", ["a:B(1)", "a:B(x=", "a:B(x=y)", "a:B(x=f())", "(x=1)", "a:B(x=1) c", "a:B(**{})"])
def test_what_is_no_text_of_a_plugin_is_refused_with_what_it_should_be(text: str) -> None:
    with pytest.raises(PluginError, match="plug-in"):
        read("pricing", text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_builtin_and_every_example_has_its_protocol_s_methods(kind: str) -> None:
    for name in KINDS[kind].built_in:
        make(kind, name, unit_cost=1.0, price_cap=20.0, capacity=10.0, equilibrium_price=lambda: 4.0)
    module = (EXAMPLES / f"{kind}.py").read_text()
    name = module.rpartition("\nclass ")[2].partition(":")[0].partition("(")[0]
    make(kind, f"{EXAMPLES / f'{kind}.py'}:{name}", unit_cost=1.0, uav=scenario.load("small").uavs[0])
    assert callable(getattr(load(kind, KINDS[kind].protocol), KINDS[kind].methods[0]))


def test_a_file_s_class_is_found_and_given_what_it_takes(tmp_path: Path) -> None:
    text = write(
        tmp_path / "own.py",
        "class Own:\n def __init__(self, seed, most=1): self.told = seed, most\n def decide(self, h, r): return 1.0\n",
    )
    assert make("pricing", f"{text}(most=3)", seed=7, unit_cost=1.0).told == (7, 3)
    assert load("pricing", text) is load("pricing", text)


def test_a_module_s_class_is_found() -> None:
    assert make("hosting", "uav_twin_migration.market.hosting_decision:Nearest(margin=3.0)").margin == 3.0


def test_an_entry_point_is_found_and_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package of one's own, as pip would install it: importlib reads its metadata off the path."""
    (tmp_path / "my_rules.py").write_text("class Cheap:\n def decide(self, h, r): return 1.0\n")
    about = tmp_path / "my_rules-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rules\nVersion: 1.0\n")
    points = "[uav_twin_migration.pricing]\ncheap = my_rules:Cheap\nbroken = my_rules:Missing\n"
    (about / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.found("pricing")["cheap"] == EntryPoint("cheap", "my_rules:Cheap", "uav_twin_migration.pricing")
    assert type(make("pricing", "cheap")).__name__ == "Cheap"
    assert main(["plugins", "pricing"]) == 1  # one of them cannot be loaded
    told = capsys.readouterr().out
    assert "installed  cheap = my_rules:Cheap\n" in told
    assert "broken = my_rules:Missing; cannot be loaded" in told


@pytest.mark.parametrize("place", ["pricing:Undercut", "utility:Saturating", "hosting:BestLink", "radio:Rain"])
def test_the_command_tries_a_plug_in_with_what_its_constructor_asks_for(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, _, name = place.partition(":")
    assert main(["plugins", kind, f"{EXAMPLES / kind}.py:{name}"]) == 0
    assert f"a plug-in for {kind} ({name})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nowhere.py:Own", "a file that exists"),
        ("no_such_module:Own", "ModuleNotFoundError"),
        ("json:Own", "a class of json"),
        ("json:JSONDecoder", "without decide"),
        ("neerest", "one of elasticity"),
        ("math:sin", "without decide"),
        ("subprocess:Popen(args='true')", "without decide"),
        ("elasticity(speed=1)", "an option that it takes"),
    ],
)
def test_what_cannot_be_found_or_is_none_of_its_kind_is_refused_by_its_name(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "pricing", text]) == 2
    line = capsys.readouterr().err
    assert line.startswith("uavtwin plugins: plug-in ")
    assert text.partition("(")[0] in line
    assert told in line


@pytest.mark.parametrize("code", ["raise RuntimeError('early')", "class Own", "import no_such_module_at_all"])
def test_a_module_that_cannot_be_imported_says_why(code: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"Own.*Error"):
        load("pricing", write(tmp_path / "broken.py", code))


class Answers:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def decide(self, history: Any = None, rivals: Any = None) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_failure_is_answered_by_the_builtin_counted_and_said_once() -> None:
    said: list[str] = []
    plugged = Plugged[Any]("pricing", f"{__name__}:Answers", Answers("built-in"), said.append, answer=ValueError("odd"))
    assert [plugged.ask(lambda one: one.decide()) for _ in range(3)] == ["built-in"] * 3
    own: Any = plugged.own
    own.answer = "own"
    assert plugged.ask(lambda one: one.decide()) == "own"  # it is asked again
    assert plugged.errors == 3
    assert plugins.describe(plugged) == {"plugin_errors/pricing": 3}
    assert len(said) == 1
    assert "Answers" in said[0]
    assert "odd" in said[0]


def test_a_plugin_that_cannot_be_made_leaves_the_builtin_to_answer() -> None:
    said: list[str] = []
    plugged = Plugged[Any]("pricing", "nowhere.py:Own", Answers("built-in"), said.append)
    assert plugged.ask(lambda one: one.decide()) == "built-in"
    assert plugged.errors == 1
    assert "nowhere.py" in said[0]


def test_a_study_ends_where_a_plugin_fails() -> None:
    plugged = Plugged[Any]("pricing", f"{__name__}:Answers", Answers("built-in"), answer=ZeroDivisionError("odd"))
    with pytest.raises(UavTwinError, match="Answers: ZeroDivisionError: odd"):
        plugged.ask(lambda one: one.decide())
    with pytest.raises(PluginError, match="nowhere"):
        Plugged[Any]("pricing", "nowhere.py:Own", Answers("built-in"))


def test_no_setting_names_an_unknown_kind() -> None:
    from uav_twin_migration.scenario.load import LISTS, SECTIONS
    from uav_twin_migration.scenario.settings import settings_of

    named: dict[str, str] = {}
    for section, record in [*SECTIONS.items(), *((f"{name}[]", of[0]) for name, of in LISTS.items())]:
        named |= {one.plugin: f"{section}.{one.name}" for one in settings_of(record) if one.plugin}
    assert named == {kind: one.setting for kind, one in KINDS.items()}
