"""The links over which a host (host.py) sends twins: which there are, how fast each may go, the chunks on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, Outbound
from uav_twin_migration.twin.hosting.outputs import (
    Close,
    Open,
    Output,
    Pace,
    Transmit,
)
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_reader import Copy
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Chunk, Entry
from uav_twin_migration.twin.protocol.flow import Flow, frame_size, most_queued
from uav_twin_migration.twin.protocol.messages import Data, PeerMessage
from uav_twin_migration.twin.protocol.pacing import UNLIMITED


class Links:
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

    def connect(self, uav: str, outbound: Outbound, peer: str) -> None:
        """Begin anew, with another link."""
        self.let_go(outbound)
        self._opened += 1
        outbound.link, outbound.alive, outbound.known = self._opened, True, frozenset()
        self._uavs[outbound.link] = uav
        self.outputs.append(Open(outbound.link, peer, outbound.rate))

    def let_go(self, outbound: Outbound) -> None:
        """Close the link once what was sent over it is gone."""
        if outbound.flow is not None:
            outbound.sent += outbound.flow.bytes_sent
            outbound.flow = None
        if self._uavs.pop(outbound.link, None) is not None:
            self.outputs.append(Close(outbound.link))
        outbound.alive = False

    def pace(self, outbound: Outbound, rate: float) -> None:
        """A link goes at another rate from now on, bytes/s."""
        if outbound.rate == rate:
            return
        outbound.rate = rate
        if outbound.alive:
            self.outputs.append(Pace(outbound.link, rate))

    # -- what goes over them -----------------------------------------------------------------------------------------

    def say(self, link: int, message: PeerMessage) -> None:
        """Send a message without chunks."""
        self.outputs.append(Transmit(link, message, paced=False))

    def send_on(self, hosted_twin: HostedTwin, outbound: Outbound, flow: Flow, session: int) -> None:
        """Send the chunks that the rate and the window let through. Raises StoreError."""
        while flow.may_send(self._queued(outbound.link) + self._pending[outbound.link], outbound.rate):
            self._send_frame(hosted_twin, outbound, flow, session)

    def wait(self, outbound: Outbound) -> float:
        """Seconds until the queue has room for more, at the present rate; 0 where nothing waits for that."""
        flow, rate = outbound.flow, outbound.rate
        if flow is None or flow.is_empty or rate <= 0.0 or rate == UNLIMITED:
            return 0.0
        return (self._queued(outbound.link) + self._pending[outbound.link] - most_queued(rate)) / rate

    def send_all(self, hosted_twin: HostedTwin, outbound: Outbound, flow: Flow, session: int) -> None:
        """Send all chunks that are left. Raises StoreError."""
        while not flow.is_empty:
            self._send_frame(hosted_twin, outbound, flow, session)

    def _send_frame(self, hosted_twin: HostedTwin, outbound: Outbound, flow: Flow, session: int) -> None:
        assert hosted_twin.own is not None
        after, entries = flow.sent, flow.take(frame_size(outbound.rate))
        chunks = [
            wire.reference(entry.number, entry.version, entry.digest)
            if entry.digest in flow.known
            else self._chunk(hosted_twin.own, entry)
            for entry in entries
        ]
        frame = wire.Chunks(Data(hosted_twin.uav, session, after, flow.sent), tuple(chunks))
        self._pending[outbound.link] += wire.size_of(frame)
        self.outputs.append(Transmit(outbound.link, frame, paced=True))

    def _chunk(self, copy: Copy, entry: Entry) -> Chunk:
        content = self._store.read(copy, entry.number)
        return Chunk(entry.number, entry.version, entry.digest, b"" if content is None else content)
