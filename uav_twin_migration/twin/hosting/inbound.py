"""The bytes of inbound transfers: a host (host.py) takes copies of twins from other RSUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from uav_twin_migration.twin.hosting.admission import (
    Occupancy,
    limit_of,
    objection_to_chunks,
    objection_to_offer,
)
from uav_twin_migration.twin.hosting.application import Twin
from uav_twin_migration.twin.hosting.hosted_twins import HostedTwin, HostState, InboundChunks
from uav_twin_migration.twin.hosting.links import Links
from uav_twin_migration.twin.hosting.store_reader import Copy
from uav_twin_migration.twin.protocol import wire
from uav_twin_migration.twin.protocol.chunks import Entry, digest, digest_of_twin
from uav_twin_migration.twin.protocol.epochs import term_of
from uav_twin_migration.twin.protocol.messages import Cancel, Checkpoint, Known, Offer, Purpose, Reason, Refuse
from uav_twin_migration.twin.protocol.migration import Event
from uav_twin_migration.twin.protocol.replica_state import Status

Reader = Callable[[int, str, Any], None]  # takes the link, the RSU that a message came from, and the message


class Step(Protocol):
    """Lets the protocol have an event that came from another RSU."""

    def __call__(
        self,
        hosted_twin: HostedTwin,
        event: Event,
        peer: str = "",
        link: int = 0,
        refusal: Reason | None = None,
        verified: bool = True,
    ) -> None: ...


class InboundTransfers:
    """What a host takes."""

    def __init__(self, state: HostState, links: Links, step: Step, restore: Callable[[str, Copy], Twin | None]) -> None:
        """restore: the twin that a whole copy makes, if it makes one."""
        self._state, self._links, self._step, self._restore = state, links, step, restore

    def readers(self) -> dict[type, Reader]:
        """What takes which messages."""
        return {wire.Chunks: self.received, Checkpoint: self.checkpoint, Offer: self.offered}

    def occupancy(self, hosted_twin: HostedTwin) -> Occupancy:
        """How full this RSU is without a twin. What was promised is taken: to inbound copies, to new twins."""
        state = self._state
        inbound = [
            one.inbound_chunks
            for one in state.twins.values()
            if one.inbound_chunks is not None and one is not hosted_twin and not _is_kept_up(one)
        ]
        others = [one for one in state.twins.values() if one is not hosted_twin]
        unwritten = sum(one.own.size for one in others if one.own is not None and not one.own.whole)
        spoken_for = sum(one.limit - one.total for one in inbound) + unwritten
        room = state.store.free() - state.settings.reserve - spoken_for
        trouble = state.trouble.reason if state.trouble is not None else None
        unclaimed = sum(one.is_unclaimed for one in others)
        return Occupancy(state.draining, trouble, len(state.hosted), len(inbound), room, unclaimed)

    def offered(self, link: int, peer: str, offer: Offer) -> None:
        """Another RSU offers a copy. Make room for one that is accepted, or go on with what there is of it."""
        state, hosted_twin = self._state, self._state.twin(offer.uav)
        here = self.occupancy(hosted_twin)
        refusal = objection_to_offer(offer, state.application.name, state.settings, here)
        known = self._known(hosted_twin, offer) if refusal is None else {}
        if known:
            self._links.say(link, Known(offer.uav, offer.session, tuple(known)))
        self._step(hosted_twin, offer, peer, link, refusal=refusal)
        replica_state, inbound = hosted_twin.replica_state, hosted_twin.replica_state.record.inbound
        if inbound is None or (replica_state.source, replica_state.session) != (peer, offer.session):
            return
        if hosted_twin.inbound is None:
            kind, base = (offer.application, offer.chunk_size, offer.size), hosted_twin.own if inbound.base else None
            hosted_twin.inbound = state.store.add_copy(hosted_twin.uav, *kind, base=base)
        latest = {entry.number: entry for entry in state.store.entries(hosted_twin.inbound)}
        total = sum(entry.size for entry in latest.values())
        limit = limit_of(offer, state.settings)
        hosted_twin.inbound_chunks = InboundChunks(link, latest, limit, total, known=known)

    def _known(self, hosted_twin: HostedTwin, offer: Offer) -> dict[bytes, int]:
        """What there is of a twin whose copy begins anew, though one is here: of another term, or overtaken.

        Versions of two terms are two histories, but most chunks are the same.
        """
        own, record = hosted_twin.own, hosted_twin.replica_state.record
        if own is None or hosted_twin.own_damaged or record.status not in (Status.FENCED, Status.REPLICA):
            return {}
        if record.status is Status.REPLICA and term_of(record.epoch) == term_of(offer.epoch):
            return {}
        entries = self._state.store.entries(own)[: wire.MOST_KNOWN]
        return {entry.digest: entry.number for entry in entries if entry.size}

    def received(self, link: int, peer: str, frame: wire.Chunks) -> None:
        """Chunks of a copy came in."""
        state, data = self._state, frame.data
        hosted_twin = state.twin(data.uav)
        replica_state, chunks = hosted_twin.replica_state, hosted_twin.inbound_chunks
        if (replica_state.source, replica_state.session) != (peer, data.session):
            self._step(hosted_twin, data, peer, link)  # which refuses it
            return
        if chunks is None or hosted_twin.inbound is None:  # the disk refused meanwhile
            self._links.say(link, Refuse(data.uav, data.session, Reason.NO_SESSION))
            return
        found = self._found(hosted_twin, chunks, frame)
        if found is None:
            hosted_twin.own_damaged = True  # from the next session on, all is sent
            self._links.say(link, Refuse(data.uav, data.session, Reason.NO_SESSION))
            return
        frame, chunk_size = found, hosted_twin.inbound.chunk_size
        reason = objection_to_chunks(frame.chunks, frame.intact, chunk_size, chunks.total, chunks.limit)
        if reason is not None:
            state.counts[f"chunks_{reason.value}"] += 1
            self._links.say(link, Refuse(data.uav, data.session, reason))
            self._step(hosted_twin, Cancel(data.uav, data.session, reason), peer, link)
            return
        before = replica_state.record.inbound
        self._step(hosted_twin, data, peer, link)
        if hosted_twin.replica_state.record.inbound != before:  # else it was out of order
            state.store.write(hosted_twin.inbound, frame.chunks)
            self._count(chunks, frame)

    def _found(self, hosted_twin: HostedTwin, chunks: InboundChunks, frame: wire.Chunks) -> wire.Chunks | None:
        """The frame with what its references stand for; None where that is not here, or not as it was."""
        whole = []
        for chunk in frame.chunks:
            if wire.is_reference(chunk):
                number, own = chunks.known.get(chunk.digest), hosted_twin.own
                content = self._state.store.read(own, number) if own is not None and number is not None else None
                if content is None or digest(content) != chunk.digest:
                    return None
                chunk = chunk._replace(content=content)
            whole.append(chunk)
        return frame._replace(chunks=tuple(whole))

    def _count(self, chunks: InboundChunks, frame: wire.Chunks) -> None:
        for chunk in frame.chunks:
            old = chunks.latest.get(chunk.number)
            entry = Entry(chunk.number, chunk.version, chunk.digest, len(chunk.content))
            chunks.latest[chunk.number] = entry
            self._state.taking_in += entry.size
            chunks.total += entry.size - (old.size if old is not None else 0)

    def checkpoint(self, link: int, peer: str, message: Checkpoint) -> None:
        """Is the copy whole, and, where it is to be hosted, a twin that the application can make?"""
        hosted_twin = self._state.twin(message.uav)
        replica_state, chunks, copy = hosted_twin.replica_state, hosted_twin.inbound_chunks, hosted_twin.inbound
        mine = (replica_state.source, replica_state.session) == (peer, message.session)
        verified = False
        if mine and chunks is not None and copy is not None:
            verified = digest_of_twin(message.uav, chunks.latest.values()) == message.digest
            if verified and replica_state.purpose is Purpose.MIGRATION:
                chunks.twin = self._restore(message.uav, copy)
                verified = chunks.twin is not None
        self._step(hosted_twin, message, peer, link, verified=verified)

    # -- what the protocol decided -----------------------------------------------------------------------------------

    def adopt(self, hosted_twin: HostedTwin) -> None:
        """What arrived is the twin."""
        hosted_twin.served = True
        inbound = hosted_twin.inbound
        if inbound is not None and inbound.base is not None:
            self._state.store.merge(inbound)
            self._state.drop(inbound)
        else:
            self._state.drop(hosted_twin.own)
            hosted_twin.own = inbound
        hosted_twin.inbound, hosted_twin.own_damaged = None, False
        hosted_twin.twin = hosted_twin.inbound_chunks.twin if hosted_twin.inbound_chunks is not None else None
        hosted_twin.inbound_chunks, hosted_twin.stored_version = None, 0

    def keep(self, hosted_twin: HostedTwin) -> None:
        """What arrived is the replica, or part of it; what changes from now on lies beside it."""
        inbound, store, hosted_twin.served = hosted_twin.inbound, self._state.store, True
        assert inbound is not None
        if inbound.base is not None:
            store.merge(inbound)
            return
        self._state.drop(hosted_twin.own)
        hosted_twin.own, hosted_twin.own_damaged = inbound, False
        kind = (inbound.application, inbound.chunk_size, inbound.size)
        hosted_twin.inbound = store.add_copy(hosted_twin.uav, *kind, base=inbound)

    def drop(self, hosted_twin: HostedTwin) -> None:
        """What arrived goes."""
        self._state.drop(hosted_twin.inbound)
        hosted_twin.inbound = hosted_twin.inbound_chunks = None


def _is_kept_up(hosted_twin: HostedTwin) -> bool:
    """Whether what arrives are the changes to a replica: there is room for those."""
    return hosted_twin.inbound is not None and hosted_twin.inbound.base is not None
