"""What a host wants done, done: over its links, and by telling its owner. The same in real and in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from uav_twin_migration.twin.hosting.outputs import (
    Close,
    Expired,
    HostingChange,
    MigrationReport,
    Open,
    Output,
    Pace,
    Reply,
    Transmit,
)
from uav_twin_migration.twin.hosting.store_reader import StoreError
from uav_twin_migration.twin.protocol.messages import HostReply, PeerMessage
from uav_twin_migration.twin.protocol.wire import Chunks


@dataclass(frozen=True)
class Callbacks:
    """What the owner wants to hear of. Called in the host's thread: to be brief."""

    reply: Callable[[HostReply], None] = lambda reply: None
    report: Callable[[MigrationReport], None] = lambda report: None
    hosting_change: Callable[[HostingChange], None] = lambda hosting_change: None
    expired: Callable[[Expired], None] = lambda expired: None
    trouble: Callable[[StoreError | None], None] = lambda trouble: None  # the disk refuses, or takes again
    ended: Callable[[str, BaseException], None] = lambda thread, error: None  # a thread that all rests on: restart


class Links(Protocol):
    """Connections to other RSUs."""

    def open(self, link: int, peer: str, rate: float) -> None:
        """Connect; rate: bytes/s."""

    def pace(self, link: int, rate: float) -> None:
        """Change a link's rate, bytes/s."""

    def close(self, link: int) -> None:
        """Close a link once what was sent over it is gone."""


def carry_out(
    outputs: Sequence[Output],
    links: Links,
    send: Callable[[int, Chunks | PeerMessage, bool], None],
    callbacks: Callbacks,
) -> None:
    """Do what is on the disk now, in its order. send: a frame over a link, paced or not."""
    for output in outputs:
        if isinstance(output, Transmit):
            send(output.link, output.frame, output.paced)
        elif isinstance(output, Open):
            links.open(output.link, output.peer, output.rate)
        elif isinstance(output, Pace):
            links.pace(output.link, output.rate)
        elif isinstance(output, Close):
            links.close(output.link)
        elif isinstance(output, HostingChange):
            callbacks.hosting_change(output)
        elif isinstance(output, Reply):
            callbacks.reply(output.reply)
        elif isinstance(output, Expired):
            callbacks.expired(output)
        elif isinstance(output, MigrationReport):
            callbacks.report(output)
        else:
            output.done(output.accepted)
