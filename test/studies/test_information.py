"""What an RSU's information allows: every observation that is compared can be learned from."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the learning requirements")

import torch

from uav_twin_migration.studies.benchmarks import information


def test_every_observation_can_be_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GAMES": 2, "STEPS": 3, "MINIBATCH": 64}.items():
        monkeypatch.setattr(information, name, value)
    data = information.play_games(5)
    assert data.sequences == 5 * 2 * 4
    assert all(torch.isfinite(column).all() for column in (*data.situations, *data[1:]))
    for name, how in information.networks(data).items():
        assert 0.0 < information.learned(how, data) < 0.5, name


def test_what_nobody_has_seen_before_the_first_round_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(information, "GAMES", 2)
    data = information.play_games(1)
    for column in (data.more, data.uavs, data.units[..., 1:]):
        assert not column[0].any()
