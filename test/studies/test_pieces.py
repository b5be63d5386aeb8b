"""Long studies in pieces: what is done is kept, and not done again."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from uav_twin_migration.studies.figures.pieces import Piece, Pieces

PIECES: list[Piece] = [(math.hypot, (3.0, 4.0)), (math.comb, (5, 2))]


def test_what_was_done_before_is_not_done_again(tmp_path: Path) -> None:
    said: list[str] = []
    Pieces(tmp_path, say=said.append).work(PIECES[:1])
    assert [sentence.split(",")[0] for sentence in said] == ["  1 of 1: hypot 3.0 4.0"]
    said.clear()
    again = Pieces(tmp_path, say=said.append)
    again.work(PIECES)
    assert said[0] == "  1 of 2 pieces were done before"
    assert said[1].startswith("  2 of 2: comb 5 2")
    assert [again.of(function, *arguments) for function, arguments in PIECES] == [5.0, 10]


def test_a_piece_that_is_missing_is_worked_out_when_it_is_asked_for(tmp_path: Path) -> None:
    assert Pieces(tmp_path, say=lambda sentence: None).of(math.comb, 6, 3) == 20


def test_what_it_depends_on_makes_it_another_piece(tmp_path: Path) -> None:
    def said_of(depends_on: str) -> list[str]:
        said: list[str] = []
        Pieces(tmp_path, depends_on, said.append).work(PIECES[:1], jobs=1)
        return said

    assert "before" not in said_of("one")[0]
    assert "before" in said_of("one")[0]
    assert "before" not in said_of("another")[0]


def test_a_piece_that_fails_keeps_the_others(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path, say=lambda sentence: None)
    with pytest.raises(ValueError, match=r"domain|nonneg"):
        pieces.work([PIECES[0], (math.sqrt, (-1.0,))], jobs=1)
    assert [file.name.split("-")[0] for file in tmp_path.iterdir()] == ["hypot"]
