"""Exact line of sight between antennas and UAVs among buildings: segments against prisms over simple polygons.

A link is *blocked* when more than a micrometre of it lies inside one building (`GRAZE`, far above rounding and far
below masonry). Touching is not blocking: a link may start on a roof, run along a wall or graze a corner.

How a link is tested against one prism. Seen from above, the link's line cuts the footprint's edges. Each edge that
goes from one side of the line to the other changes the winding number of the footprint about the line's points by one;
an edge that only starts or ends on the line changes it by a half. Between two cuts the line is inside the footprint
where the winding number is 1 or -1, outside where it is 0, and on a wall where it is a half: every degenerate case is
settled by counting. What is inside counts where the link's height is between the prism's base and its top.

How most prisms are spared that test. Antennas stand still: for each, `View` sorts the buildings into bins of azimuth
once. A link looks into its own bin only, and there at buildings that it does not pass above, below or short of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uav_twin_migration.scenario.model import Building

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Truth = NDArray[np.bool_]

BINS = 1024  # of azimuth around an antenna
FIRST_TESTED = 2  # nearest buildings of a link, tested before the others: most blocked links are blocked by them
CHUNK = 50_000  # links at once: bounds memory
GRAZE = 1e-6  # m, of a link that may be inside a building without blocking it


class Obstacles:
    """The buildings as flat arrays.

    Attributes:
        base, top: [B] m, heights between which each building is.
        corners: [C, 2] m, of all footprints one after another; those of building k start at `first[k]`.
        first, count: [B] where the corners of each building start, and how many they are.
    """

    def __init__(self, buildings: Sequence[Building]) -> None:
        self.base = np.array([building.base for building in buildings], dtype=float)
        self.top = self.base + np.array([building.height for building in buildings], dtype=float)
        self.count = np.array([len(building.footprint) for building in buildings], dtype=np.intp)
        self.first = np.cumsum(self.count) - self.count
        self.corners = np.array([corner for b in buildings for corner in b.footprint], dtype=float).reshape(-1, 2)
        following = np.arange(1, len(self.corners) + 1)
        following[self.first + self.count - 1] = self.first
        self.following: Indices = following  # [C] the next corner of the same footprint

    def __len__(self) -> int:
        return len(self.base)

    def line_of_sight(self, start: ArrayLike, end: ArrayLike) -> Truth:
        """Whether the segments `start` - `end` [..., 3] (m) are free, each tested against every building.

        For a few links between any two points; for many links from antennas that stand still use `View`.
        """
        start, end = np.broadcast_arrays(np.asarray(start, dtype=float), np.asarray(end, dtype=float))
        a, b = start.reshape(-1, 3), end.reshape(-1, 3)
        free: Truth = np.ones(len(a), dtype=bool)
        for link in range(len(a)):
            pairs = np.full(len(self), link)
            free[link] = not self.block(a[pairs], b[pairs], np.arange(len(self))).any()
        return free.reshape(start.shape[:-1])

    def block(self, start: Array, end: Array, building: Indices) -> Truth:
        """Whether link k, `start[k]` - `end[k]` [K, 3], is blocked by building number `building[k]` [K]; exact."""
        ray = (end - start)[:, :2]
        upright = np.logical_not(
            ray.any(axis=1)
        )  # seen from above such a link is a point; any line through it tells if it is inside
        ray = np.where(upright[:, None], (1.0, 0.0), ray)
        pair, place, jump = self._cuts(start[:, :2], ray, building)
        inside = np.abs(np.cumsum(jump)) == 1  # after each cut; the jumps of a pair sum to 0, so one sum serves all
        low, high = self._heights_crossed(start[:, 2], end[:, 2], building)

        cut = np.flatnonzero(inside)  # an inside has an end: the next cut is of the same pair
        pair, enters, leaves = pair[cut], place[cut], place[cut + 1]
        overlap = np.minimum(leaves, high[pair]) - np.maximum(enters, low[pair])
        holds_point = (enters < -GRAZE) & (leaves > GRAZE)
        share = np.where(upright[pair], np.where(holds_point, high[pair] - low[pair], 0.0), overlap)
        length = np.sqrt(((end - start) ** 2).sum(axis=1))
        blocked: Truth = np.zeros(len(start), dtype=bool)
        blocked[pair[share * length[pair] > GRAZE]] = True
        return blocked

    def _cuts(self, origin: Array, ray: Array, building: Indices) -> tuple[Indices, Array, Array]:
        """Where lines `origin` + place `ray` [K, 2] cut the footprints: pair, place and jump of the winding number.

        Sorted by pair, then by place.
        """
        pair = np.repeat(np.arange(len(building)), self.count[building])
        corner = _ranges(self.first[building], self.count[building])
        a = self.corners[corner] - origin[pair]
        b = self.corners[self.following[corner]] - origin[pair]
        direction = ray[pair]
        left_a = direction[:, 0] * a[:, 1] - direction[:, 1] * a[:, 0]
        left_b = direction[:, 0] * b[:, 1] - direction[:, 1] * b[:, 0]
        jump = (np.sign(left_b) - np.sign(left_a)) / 2
        cut = np.flatnonzero(jump)
        pair, jump, direction = pair[cut], jump[cut], direction[cut]
        share = left_a[cut] / (left_a[cut] - left_b[cut])
        at = a[cut] + share[:, None] * (b[cut] - a[cut])
        place = (at * direction).sum(axis=1) / (direction**2).sum(axis=1)
        order = np.lexsort((place, pair))
        return pair[order], place[order], jump[order]

    def _heights_crossed(self, z0: Array, z1: Array, building: Indices) -> tuple[Array, Array]:
        """Part (low, high) of each link, 0 at its start and 1 at its end, at heights between base and top."""
        rise = z1 - z0
        level = rise == 0
        safe = np.where(level, 1.0, rise)
        base, top = (self.base[building] - z0) / safe, (self.top[building] - z0) / safe
        within = (self.base[building] < z0) & (z0 < self.top[building])
        low = np.where(level, np.where(within, 0.0, 1.0), np.minimum(base, top))
        high = np.where(level, np.where(within, 1.0, 0.0), np.maximum(base, top))
        return np.maximum(low, 0.0), np.minimum(high, 1.0)


class View:
    """What M antennas that stand still see: line of sight to any number of UAVs.

    Building it costs about as much as looking once; it holds about 8 (M x B) numbers.
    """

    def __init__(self, buildings: Sequence[Building], antennas: ArrayLike) -> None:
        """`antennas` [M, 3] m, height above ground included."""
        self.antennas = np.asarray(antennas, dtype=float).reshape(-1, 3)
        self.obstacles = Obstacles(buildings)
        silhouettes = [self._silhouette(antenna) for antenna in self.antennas[:, :2]]
        self._nearest = np.array([nearest for nearest, *_ in silhouettes])  # [M, B] m
        self._farthest = np.array([farthest for _, farthest, *_ in silhouettes])  # [M, B] m
        keys, members = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
        for m, (nearest, _, first, count) in enumerate(silhouettes):
            near_to_far = np.argsort(nearest)
            keys.append(m * BINS + _ranges(first[near_to_far], count[near_to_far]) % BINS)
            members.append(np.repeat(near_to_far, count[near_to_far]))
        key = np.concatenate(keys)
        self._members = np.concatenate(members)[np.argsort(key, kind="stable")]  # by bin, near to far in each
        self._count = np.bincount(key, minlength=BINS * len(self.antennas))
        self._first = np.cumsum(self._count) - self._count

    def _silhouette(self, antenna: Array) -> tuple[Array, Array, Indices, Indices]:
        """Each building as an antenna at [2] sees it: nearest and farthest distance, first bin and number of bins."""
        obstacles = self.obstacles
        a = obstacles.corners - antenna
        b = a[obstacles.following]
        farthest = _by_building(np.maximum, np.hypot(a[:, 0], a[:, 1]), obstacles)
        nearest = _by_building(np.minimum, _distance_to_edges(a, b), obstacles)

        azimuth = np.arctan2(a[:, 1], a[:, 0])
        turn = (azimuth[obstacles.following] - azimuth + np.pi) % (2 * np.pi) - np.pi
        round_ = _by_building(np.add, turn, obstacles)  # 0, or +-2 pi where the antenna is inside the footprint
        walked = np.cumsum(turn) - turn
        walked = walked - np.repeat(walked[obstacles.first], obstacles.count)
        least, most = _by_building(np.minimum, walked, obstacles), _by_building(np.maximum, walked, obstacles)

        everywhere = (np.abs(round_) > 1) | (nearest < GRAZE)
        nearest = np.where(everywhere, 0.0, nearest)
        width = 2 * np.pi / BINS
        first = np.floor((azimuth[obstacles.first] + least) / width).astype(np.intp) - 1
        last = np.floor((azimuth[obstacles.first] + most) / width).astype(np.intp) + 1
        return nearest, farthest, first, np.where(everywhere, BINS, np.minimum(last - first + 1, BINS))

    def line_of_sight(self, positions: ArrayLike) -> Truth:
        """Whether each antenna sees each of the points [..., 3] (m): [..., M]."""
        positions = np.asarray(positions, dtype=float)
        points = positions.reshape(-1, 3)
        antennas = len(self.antennas)
        free = np.ones(len(points) * antennas, dtype=bool)
        if len(self.obstacles) == 0:
            return free.reshape(*positions.shape[:-1], antennas)
        for start in range(0, len(free), CHUNK):
            link = np.arange(start, min(start + CHUNK, len(free)))
            free[link] = self._free(self.antennas[link % antennas], points[link // antennas], link % antennas)
        return free.reshape(*positions.shape[:-1], antennas)

    def _free(self, start: Array, end: Array, antenna: Indices) -> Truth:
        """Whether links [L] from their `antenna` [L] are free."""
        ray = (end - start)[:, :2]
        azimuth = np.arctan2(ray[:, 1], ray[:, 0])
        key = antenna * BINS + np.floor(azimuth / (2 * np.pi / BINS)).astype(np.intp) % BINS
        link = np.repeat(np.arange(len(start)), self._count[key])
        building = self._members[_ranges(self._first[key], self._count[key])]
        near = self._may_block(start, end, antenna, link, building)
        link, building = link[near], building[near]
        place = np.arange(len(link)) - np.searchsorted(link, link)  # of the building among those of its link
        free = np.ones(len(start), dtype=bool)
        for nearest_first in (place < FIRST_TESTED, place >= FIRST_TESTED):  # few links are left for the second round
            pairs = np.flatnonzero(nearest_first & free[link])
            blocked = self.obstacles.block(start[link[pairs]], end[link[pairs]], building[pairs])
            free[link[pairs[blocked]]] = False
        return free

    def _may_block(self, start: Array, end: Array, antenna: Indices, link: Indices, building: Indices) -> Truth:
        """Which pairs of link and building need the exact test: not passed above, not below, not short of."""
        length = np.hypot(*(end - start)[:, :2].T)
        slope = (end[:, 2] - start[:, 2]) / np.maximum(length, 1e-300)
        upright = length == 0
        nearest = self._nearest[antenna[link], building]
        farthest = np.minimum(self._farthest[antenna[link], building], length[link])
        at_nearest = start[link, 2] + np.where(upright, 0.0, slope)[link] * nearest
        at_farthest = np.where(upright[link], end[link, 2], start[link, 2] + slope[link] * farthest)
        reached = nearest <= length[link] + GRAZE
        below_top = np.minimum(at_nearest, at_farthest) < self.obstacles.top[building] + GRAZE
        above_base = np.maximum(at_nearest, at_farthest) > self.obstacles.base[building] - GRAZE
        return np.asarray(reached & below_top & above_base)


def _ranges(first: Indices, count: Indices) -> Indices:
    """first[0], first[0] + 1, ... (count[0] of them), first[1], ... as one array."""
    before = np.cumsum(count) - count
    return np.asarray(np.arange(int(count.sum())) + np.repeat(first - before, count))


def _by_building(reduce: np.ufunc, values: Array, obstacles: Obstacles) -> Array:
    """Values of all corners [C], reduced to one for each building [B]."""
    return np.asarray(reduce.reduceat(values, obstacles.first)) if len(obstacles) else np.zeros(0)


def _distance_to_edges(a: Array, b: Array) -> Array:
    """Distance of the origin from the segments a - b [C, 2]."""
    edge = b - a
    along = np.clip(-(a * edge).sum(axis=1) / np.maximum((edge**2).sum(axis=1), 1e-300), 0.0, 1.0)
    foot = a + along[:, None] * edge
    return np.asarray(np.hypot(foot[:, 0], foot[:, 1]))
