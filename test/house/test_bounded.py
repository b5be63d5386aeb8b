"""Readers of what comes from outside: one exception, whatever they are fed."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration import bounded

plain: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(1 << 64) + 1, (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_what_json_says_is_read(value: Any) -> None:
    assert bounded.read_json(json.dumps(value), 1 << 20) == value


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_else_is_a_value_error(content: bytes | str) -> None:
    with contextlib.suppress(ValueError):
        bounded.read_json(content, 150)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 15_000,
        b'{"a":' * 15_000,
        b"[" * 33 + b"]" * 33,
        b"9" * 401,
        b"[" + b"9" * 401 + b"]",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b"\xff",
        b"[1]" + b" " * 200_000,
        "\ud800",
    ],
)
def test_what_ended_threads_is_refused(content: bytes | str) -> None:
    with pytest.raises(ValueError, match=" "):
        bounded.read_json(content, 100_000)


def test_brackets_in_texts_are_no_depth() -> None:
    assert bounded.read_json(json.dumps(["[" * 100 + '"[' * 100]), 10_000) == ["[" * 100 + '"[' * 100]


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True, 10**400, -1, 11.0])
def test_a_number_in_range_is_just_that(value: object) -> None:
    assert bounded.in_range(3, 0.0, 10.0) == 3.0
    with pytest.raises(ValueError, match="expected"):
        bounded.in_range(value, 0.0, 10.0)
