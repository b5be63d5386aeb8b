"""Pruning: what goes, how much, and that the network does not notice the loss of what was useless."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the learning requirements")

import torch

from uav_twin_migration.learning.networks import Perceptron
from uav_twin_migration.learning.pruning import (
    Criterion,
    PruningSettings,
    Scope,
    importance,
    left_of,
    masks,
    prune,
)


def network(*hidden: int, seed: int = 0) -> Perceptron:
    torch.manual_seed(seed)
    return Perceptron(5, hidden, output_gain=1.0)


def inputs(rows: int = 256) -> torch.Tensor:
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(1))


@given(st.floats(0.0, 0.99), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20))
def test_the_schedule_only_ever_removes_more(share: float, times: list[float]) -> None:
    settings = PruningSettings(share)
    removed = [settings.removed_at(progress) for progress in sorted(times)]
    assert all(0.0 <= before <= after <= share for before, after in itertools.pairwise(removed))
    assert settings.removed_at(1.0) == share
    assert settings.removed_at(0.0) == 0.0


@pytest.mark.parametrize(("share", "left"), [(0.0, 128), (0.75, 32), (0.9, 12), (0.95, 6), (0.999, 1)])
def test_what_is_left(share: float, left: int) -> None:
    assert left_of(128, share) == left


def test_a_neuron_that_never_speaks_or_says_always_the_same_has_no_importance() -> None:
    net = network(4)
    with torch.no_grad():
        net.layers[0].weight[1] = 0.0  # always says its bias
        net.layers[0].bias[1] = 3.0
        net.layers[0].bias[2] = -100.0  # never speaks
        net.layers[1].weight[0, 3] = 0.0  # nobody listens
    values = importance(net, inputs())[0]
    assert values[0] > 0.0
    assert values[1:].tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_losing_neurons_of_no_importance_changes_nothing() -> None:
    net, x = network(8, 6), inputs()
    with torch.no_grad():
        net.layers[0].weight[3] = 0.0  # always says 2
        net.layers[0].bias[3] = 2.0
        net.layers[1].bias[:2] = -100.0  # say nothing
    before = net(x)
    assert prune(net, x, (8, 6), 0.125, PruningSettings(0.125))
    assert net.hidden == (7, 5)
    torch.testing.assert_close(net(x), before)


def test_as_many_go_as_should_even_where_all_are_useless() -> None:
    net = network(8, 6)
    with torch.no_grad():
        net.layers[2].weight[:] = 0.0
    assert prune(net, inputs(), (8, 6), 0.5, PruningSettings(0.5))
    assert net.hidden == (4, 3)
    assert not prune(net, inputs(), (8, 6), 0.5, PruningSettings(0.5))


def test_the_optimiser_forgets_what_is_gone_and_goes_on() -> None:
    net = network(8, 6)
    optimizer = torch.optim.Adam(net.parameters())
    x = inputs()
    net(x).sum().backward()
    optimizer.step()
    kept = optimizer.state[net.layers[0].weight]["exp_avg"].clone()
    prune(net, x, (8, 6), 0.5, PruningSettings(0.5), optimizer)
    memory = optimizer.state[net.layers[0].weight]["exp_avg"]
    assert memory.shape == net.layers[0].weight.shape == (4, 5)
    assert all(any(torch.equal(row, old) for old in kept) for row in memory)
    net(x).sum().backward()
    optimizer.step()
    assert net.hidden == (4, 3)


def test_layers_are_balanced_unless_one_threshold_is_wanted() -> None:
    values = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.1, 0.2, 0.3, 0.4])]
    balanced = masks(values, [2, 2], Scope.LAYER)
    assert [mask.tolist() for mask in balanced] == [[False, False, True, True]] * 2
    together = masks(values, [2, 2], Scope.GLOBAL)
    assert [mask.tolist() for mask in together] == [[True] * 4, [False] * 3 + [True]]  # no layer is emptied


def test_random_neurons_are_others() -> None:
    chosen = []
    for criterion in Criterion:
        net = network(64)
        weight = net.layers[0].weight.detach().clone()
        prune(net, inputs(), (64,), 0.5, PruningSettings(0.5, criterion=criterion))
        chosen.append({i for i in range(64) if (weight[i] == net.layers[0].weight).all(dim=1).any()})
    assert [len(each) for each in chosen] == [32, 32]
    assert chosen[0] != chosen[1]
