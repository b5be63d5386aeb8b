"""The radio model: 3GPP's unless a scenario names a radio map, or a plug-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from uav_twin_migration.errors import InputError
from uav_twin_migration.plugins import Plugged
from uav_twin_migration.radio.link import Links, links
from uav_twin_migration.radio.radio_map import SAME_PLACE, RadioMap, load
from uav_twin_migration.scenario.model import RadioParameters


class RadioModel(Protocol):
    """What all links carry; called once a measurement, for all of them.

    Arrays may have leading axes: games, times. An efficiency beyond an RSU's range counts as 0.
    """

    def links(
        self,
        radio: RadioParameters,
        antennas: ArrayLike,
        ranges: ArrayLike,
        positions: ArrayLike,
        line_of_sight: ArrayLike,
    ) -> Links:
        """All links [..., N, M].

        antennas [..., M, 3] m, heights included. ranges [..., M] m of ground distance. positions [..., N, 3] m.
        line_of_sight [..., N, M], whether the link is free of buildings.
        """


class ThreeGpp:
    """The built-in: `link.links`, which a plug-in may begin with."""

    def links(
        self,
        radio: RadioParameters,
        antennas: ArrayLike,
        ranges: ArrayLike,
        positions: ArrayLike,
        line_of_sight: ArrayLike,
    ) -> Links:
        """See `RadioModel`."""
        return links(radio, antennas, ranges, positions, line_of_sight)


class Mapped:
    """The other built-in: path loss from a radio map, and 3GPP's where the map says nothing."""

    def __init__(self, radio_map: RadioMap) -> None:
        self.map = radio_map

    def links(
        self,
        radio: RadioParameters,
        antennas: ArrayLike,
        ranges: ArrayLike,
        positions: ArrayLike,
        line_of_sight: ArrayLike,
    ) -> Links:
        """See `RadioModel`."""
        return links(radio, antennas, ranges, positions, line_of_sight, self.map.loss_at(antennas, positions))


def check_map(parameters: RadioParameters, antennas: ArrayLike | None = None) -> RadioMap | None:
    """The map that a scenario names, None where it names none.

    Args:
        antennas: [M, 3] m, those that the map must have.

    Raises:
        InputError: it cannot be read, is of another frequency, or lacks an antenna.
    """
    if not parameters.map:
        return None
    found = load(parameters.map)
    if abs(found.frequency - parameters.carrier_frequency) > 0.01 * found.frequency:
        expected = f"a map at the scenario's {parameters.carrier_frequency:g} GHz: make it anew"
        raise InputError(parameters.map, "frequency", found.frequency, expected)
    for place in () if antennas is None else np.asarray(antennas, dtype=float):
        if np.linalg.norm(found.antennas - place, axis=1).min() > SAME_PLACE:
            missing = f"none at {np.round(place, 1).tolist()}"
            raise InputError(parameters.map, "antennas", missing, "one where each of the scenario's is: make it anew")
    return found


class Radio:
    """A scenario's radio: its parameters and its model."""

    def __init__(
        self,
        parameters: RadioParameters,
        tell: Callable[[str], None] | None = None,
        antennas: ArrayLike | None = None,
    ) -> None:
        """tell: see `Plugged`; it hears of a map that cannot be used, too. antennas: see `check_map`."""
        self.parameters = parameters
        try:
            radio_map = check_map(parameters, antennas)
        except InputError as error:
            if tell is None:
                raise
            tell(f"{error}; 3GPP's model instead")
            radio_map = None
        self.built_in: RadioModel = ThreeGpp() if radio_map is None else Mapped(radio_map)
        self.model = Plugged[RadioModel]("radio", parameters.model, self.built_in, tell)

    def links(self, antennas: ArrayLike, ranges: ArrayLike, positions: ArrayLike, line_of_sight: ArrayLike) -> Links:
        """All links [..., N, M]; see `RadioModel`."""
        if self.model.own is None:
            return self.built_in.links(self.parameters, antennas, ranges, positions, line_of_sight)
        antennas, positions = np.asarray(antennas, dtype=float), np.asarray(positions, dtype=float)
        offset = positions[..., :, None, :2] - antennas[..., None, :, :2]
        away = np.hypot(offset[..., 0], offset[..., 1])
        los = np.broadcast_to(np.asarray(line_of_sight, dtype=bool), away.shape)
        reached = away <= np.asarray(ranges, dtype=float)[..., None, :]
        return self.model.ask(
            lambda model: _checked(model.links(self.parameters, antennas, ranges, positions, los), reached)
        )


def _checked(answer: Links, reached: np.ndarray) -> Links:
    """The same, none of it beyond an RSU's range. Raises ValueError where it is no answer."""
    for name in ("distance", "snr", "efficiency", "loss", "line_of_sight"):
        values = np.asarray(getattr(answer, name))
        if values.shape != reached.shape:
            raise ValueError(f"{name} has the shape {values.shape}, expected {reached.shape}")
        if np.isnan(values).any():
            raise ValueError(f"{name} is not a number")
    if not ((answer.efficiency >= 0.0) & np.isfinite(answer.efficiency)).all():
        raise ValueError("an efficiency is negative or infinite")
    efficiency = np.where(reached, answer.efficiency, 0.0)
    return replace(answer, efficiency=efficiency, loss=np.where(efficiency > 0.0, np.clip(answer.loss, 0.0, 1.0), 1.0))
