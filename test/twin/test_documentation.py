"""docs/migration.md says what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from uav_twin_migration.twin.protocol.messages import Reason
from uav_twin_migration.twin.protocol.replica_state import Status

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_documented(reason: Reason) -> None:
    assert f"`{reason.value}`" in PAGE


@pytest.mark.parametrize("status", list(Status))
def test_every_state_in_a_store_is_documented(status: Status) -> None:
    assert f"| `{status.value}` |" in PAGE


@pytest.mark.parametrize("count", ["bad_certificate", "bad_tls", "bad_frame", "wrong_name", "wrong_peer", "too_slow"])
def test_every_way_to_be_cut_off_is_documented(count: str) -> None:
    assert f"`{count}`" in PAGE
