"""The links over which a host (hosting.py) sends twins: which there are, how fast each may go, the chunks on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, Lane
from uav_twin_migration.twin.hosting.outputs import (
    Close,
    Open,
    Output,
    Pace,
    Transmit,
)
from uav_twin_migration.twin.hosting.store import Copy, Store
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Chunk, Entry
from uav_twin_migration.twin.protocol.flow import Flow, frame_size
from uav_twin_migration.twin.protocol.messages import Data, PeerMessage


class Lanes:
    """All links of one host. What is to be done about them gathers in `outputs`, until the host has committed."""

    def __init__(self, store: Store, queued: Callable[[int], int]) -> None:
        """queued: how many bytes wait to be sent over a link."""
        self.outputs: list[Output] = []
        self._store, self._queued = store, queued
        self._pending: Counter[int] = Counter()  # link -> bytes of chunks that wait for the commit
        self._opened = 0
        self._uavs: dict[int, str] = {}  # link -> whose twin goes over it

    def taken(self) -> list[Output]:
        """What has gathered."""
        outputs, self.outputs = self.outputs, []
        self._pending.clear()
        return outputs

    def broke(self, link: int) -> str | None:
        """A link is gone by itself. Whose twin went over it, if it was still of use."""
        return self._uavs.pop(link, None)

    # -- a twin's links ----------------------------------------------------------------------------------------------

    def connect(self, uav: str, lane: Lane, peer: str) -> None:
        """Begin anew, with another link."""
        self.let_go(lane)
        self._opened += 1
        lane.link, lane.alive = self._opened, True
        self._uavs[lane.link] = uav
        self.outputs.append(Open(lane.link, peer, lane.rate))

    def let_go(self, lane: Lane) -> None:
        """Close the link once what was sent over it is gone."""
        if lane.flow is not None:
            lane.sent += lane.flow.bytes_sent
            lane.flow = None
        if self._uavs.pop(lane.link, None) is not None:
            self.outputs.append(Close(lane.link))
        lane.alive = False

    def share_out(self, hosted_twin: HostedTwin, replica_share: float) -> None:
        """Give each of a twin's links its part of what was bought. replica_share: the replica's while it moves."""
        replication, leaving, mirror = hosted_twin.replica_state.replication, hosted_twin.leaving, hosted_twin.mirror
        if leaving is None:
            self._pace(mirror, hosted_twin.rate)
        elif replication is None or not replication.copying:
            self._pace(leaving, hosted_twin.rate)
            self._pace(mirror, 0.0)
        else:
            self._pace(leaving, hosted_twin.rate * (1.0 - replica_share))
            self._pace(mirror, hosted_twin.rate * replica_share)

    def _pace(self, lane: Lane | None, rate: float) -> None:
        if lane is None or lane.rate == rate:
            return
        lane.rate = rate
        if lane.alive:
            self.outputs.append(Pace(lane.link, rate))

    # -- what goes over them -----------------------------------------------------------------------------------------

    def say(self, link: int, message: PeerMessage) -> None:
        """Send a message without chunks."""
        self.outputs.append(Transmit(link, [wire.encode(message)], paced=False))

    def send_on(self, hosted_twin: HostedTwin, lane: Lane, flow: Flow, session: int) -> None:
        """Send the chunks that the rate and the window let through. Raises StoreError."""
        while flow.may_send(self._queued(lane.link) + self._pending[lane.link], lane.rate):
            self._send_frame(hosted_twin, lane, flow, session)

    def send_all(self, hosted_twin: HostedTwin, lane: Lane, flow: Flow, session: int) -> None:
        """Send all chunks that are left. Raises StoreError."""
        while not flow.is_empty:
            self._send_frame(hosted_twin, lane, flow, session)

    def _send_frame(self, hosted_twin: HostedTwin, lane: Lane, flow: Flow, session: int) -> None:
        assert hosted_twin.own is not None
        after, entries = flow.sent, flow.take(frame_size(lane.rate))
        chunks = [self._chunk(hosted_twin.own, entry) for entry in entries]
        pieces = wire.encode_chunks(Data(hosted_twin.uav, session, after, flow.sent), chunks)
        self._pending[lane.link] += sum(map(len, pieces))
        self.outputs.append(Transmit(lane.link, pieces, paced=True))

    def _chunk(self, copy: Copy, entry: Entry) -> Chunk:
        content = self._store.read(copy, entry.number)
        return Chunk(entry.number, entry.version, entry.digest, b"" if content is None else content)
