"""Files of markets: every format gives the same markets, and what is wrong is named, however many there are."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test.game.markets import random_markets
from test.game.test_market import BAD, GOOD
from uav_twin_migration.cli.main import BAD_INPUT, DONE, main
from uav_twin_migration.errors import InputError
from uav_twin_migration.game import files, results
from uav_twin_migration.game.files import read_markets
from uav_twin_migration.game.market import FURTHER_KEYS, Market

SCHEMA = Path(__file__).parents[2] / "docs" / "market.schema.json"


def documents() -> list[dict[str, Any]]:
    batch = random_markets(1, 5, 3, 4)
    return [batch[i].to_json() | {"prices": [2.0, 3.0, 4.5]} for i in range(5)]


def test_every_format_gives_the_same_markets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = documents()
    (tmp_path / "a.json").write_text(json.dumps(listed))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(document) for document in listed) + "\n")
    (tmp_path / "c.json").write_text("\n".join(json.dumps(document) for document in listed))
    arrays: dict[str, Any] = {key: [document[key] for document in listed] for key in listed[0]}
    (tmp_path / "d.json").write_text(json.dumps(arrays))
    np.savez(tmp_path / "e.npz", **arrays)
    expected = random_markets(1, 5, 3, 4)
    for path in sorted(tmp_path.iterdir()):
        for fast in (True, False):
            if not fast:
                monkeypatch.setattr(files, "find_spec", lambda name: None)
            read = read_markets(str(path), prices=True)
            (group,) = read.groups
            assert (read.count, read.many, list(group.places)) == (5, True, [0, 1, 2, 3, 4])
            for key, value in vars(group.market).items():
                np.testing.assert_array_equal(value, getattr(expected, key), err_msg=f"{path.name} {key}")
            np.testing.assert_array_equal(group.prices, [[2.0, 3.0, 4.5]] * 5)
            monkeypatch.undo()


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(documents()), tmp_path / "m.parquet")
    read = read_markets(str(tmp_path / "m.parquet"))
    np.testing.assert_array_equal(read.groups[0].market.efficiency, random_markets(1, 5, 3, 4).efficiency)
    out = tmp_path / "found.parquet"
    assert main(["solve", str(tmp_path / "m.parquet"), "--json", str(out)]) == DONE
    assert parquet.read_table(out).num_rows == 5


def test_results_in_every_format_are_the_same(tmp_path: Path) -> None:
    source = tmp_path / "m.json"
    source.write_text(json.dumps(documents()))
    told = {}
    for name in ("out.json", "out.jsonl", "out.npz"):
        assert main(["solve", str(source), "--json", str(tmp_path / name)]) == DONE
    told["json"] = [row["prices"] for row in json.loads((tmp_path / "out.json").read_text())]
    told["lines"] = [json.loads(line)["prices"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    with np.load(tmp_path / "out.npz") as arrays:
        told["npz"] = arrays["prices"].tolist()
        assert set(arrays["status"]) == {"equilibrium"}
    assert told["json"] == told["lines"] == told["npz"]


@pytest.mark.parametrize("fast", [True, False])
def test_arrays_are_answered_by_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    if not fast:
        monkeypatch.setattr(files, "find_spec", lambda name: None)
        monkeypatch.setattr(results, "find_spec", lambda name: None)
    listed = documents()
    arrays = {key: [document[key] for document in listed] for key in listed[0]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    (tmp_path / "arrays.json").write_text(json.dumps(arrays))
    for command in ("solve", "respond"):
        told = []
        for name in ("list.json", "arrays.json"):
            out = tmp_path / f"out-{name}"
            assert main([command, str(tmp_path / name), "--json", str(out)]) == DONE
            told.append(json.loads(out.read_text()))
        rows, columns = told
        assert columns
        for key, values in columns.items():
            assert values == [row[key] for row in rows], key


def test_unequal_sizes_and_capacities_keep_their_places(tmp_path: Path) -> None:
    one, two = random_markets(1, 1, 2, 3)[0], random_markets(2, 1, 3, 3)[0]
    half = GOOD | {"capacity": [1.0, None, 3.0]}
    listed = [one.to_json(), two.to_json(), half, GOOD | {"capacity": None}, one.to_json()]
    (tmp_path / "m.json").write_text(json.dumps(listed))
    read = read_markets(str(tmp_path / "m.json"))
    places = sorted(place for group in read.groups for place in group.places)
    assert places == [0, 1, 2, 3, 4]
    by_place = {p: group.market[row] for group in read.groups for row, p in enumerate(group.places)}
    for place, document in enumerate(listed):
        expected = Market.from_json(document, "m")
        for key, value in vars(expected).items():
            np.testing.assert_array_equal(getattr(by_place[place], key), value)


@pytest.mark.parametrize(("key", "value", "named"), BAD)
def test_what_is_wrong_among_many_is_named(tmp_path: Path, key: str, value: Any, named: str) -> None:
    bad = dict(GOOD)
    if value == "missing":
        del bad[key]
    else:
        bad[key] = value
    (tmp_path / "m.json").write_text(json.dumps([GOOD, GOOD, bad]))
    with pytest.raises(InputError, match=r"m\.json: market 2: ") as caught:
        read_markets(str(tmp_path / "m.json"))
    assert f"market 2: {named}" in str(caught.value)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"alfa": [1], ', "alfa: got 'a key that no market has', expected alpha"),
        ('{"alpha": [1, 2], ', "alpha: got 'this key twice"),
        ('{"\\u0061lpha": [1, 2], ', "alpha: got 'this key twice"),
        ('{"prices": [1, 2, 3], "prices": [1, 2, 3], ', "prices: got 'this key twice"),
        ('{"comment": "mine", ', "comment: got 'a key that no market has'"),
    ],
)
def test_unknown_and_duplicate_keys_are_refused(tmp_path: Path, text: str, said: str, many: bool) -> None:
    document = text + json.dumps(GOOD)[1:]
    path = tmp_path / "m.json"
    path.write_text(f"[{json.dumps(GOOD)}, {document}]" if many else document)
    with pytest.raises(InputError) as caught:
        read_markets(str(path))
    assert said in str(caught.value)
    assert main(["solve", str(path)]) == BAD_INPUT


@pytest.mark.parametrize("name", ["m.npz", "m.parquet", "m.jsonl", "m.json"])
def test_files_of_nonsense_are_bad_input(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"PK\x03\x04 nonsense")
    assert main(["solve", str(tmp_path / name)]) == BAD_INPUT


def test_schema_has_the_keys_that_are_read() -> None:
    schema = json.loads(SCHEMA.read_text())
    names = [field.name for field in fields(Market)]
    assert schema["required"] == [name for name in names if name != "efficiency"]
    assert set(schema["properties"]) == {*names, *FURTHER_KEYS, "links"}


LINKS: dict[str, Any] = {key: value for key, value in GOOD.items() if key != "efficiency"} | {
    "links": {"uav": [0, 0, 1, 1], "rsu": [0, 2, 0, 1], "efficiency": [4, 1, 1, 5]}
}


def test_links_instead_of_pairs(tmp_path: Path) -> None:
    """The same market: the same prices, and bandwidth along its links."""
    told = {}
    for name, document in (("links", LINKS), ("pairs", GOOD)):
        (tmp_path / "m.json").write_text(json.dumps(document))
        assert main(["solve", str(tmp_path / "m.json"), "--json", str(tmp_path / "out.json")]) == DONE
        told[name] = json.loads((tmp_path / "out.json").read_text())
    np.testing.assert_allclose(told["links"]["prices"], told["pairs"]["prices"], rtol=1e-6)
    ends = told["links"]["links"]
    np.testing.assert_allclose(
        told["links"]["bandwidth"], np.array(told["pairs"]["bandwidth"])[ends["uav"], ends["rsu"]], atol=1e-6
    )


@pytest.mark.parametrize(
    ("links", "named"),
    [
        ([1], "links"),
        ({"uav": [0]}, "links"),
        ({"uav": [0], "rsu": [0, 1], "efficiency": [1]}, "links.rsu"),
        ({"uav": [0.5], "rsu": [0], "efficiency": [1]}, "links.uav"),
        ({"uav": [7], "rsu": [0], "efficiency": [1]}, "uav"),
        ({"uav": [0], "rsu": [0], "efficiency": [-1]}, "efficiency[0]"),
        ({"uav": [0], "rsu": ["a"], "efficiency": [1]}, "links.rsu[0]"),
    ],
)
def test_bad_links_are_bad_input(tmp_path: Path, links: object, named: str) -> None:
    (tmp_path / "m.json").write_text(json.dumps(LINKS | {"links": links}))
    with pytest.raises(InputError) as caught:
        read_markets(str(tmp_path / "m.json"))
    assert str(caught.value).startswith(f"{tmp_path / 'm.json'}: {named}")
