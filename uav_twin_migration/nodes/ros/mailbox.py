"""Brings what other threads have to say into the thread that serves a node's callbacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rclpy.node import Node


class Mailbox:
    """Functions from any thread, called one after another in the node's executor."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._letters: deque[Callable[[], None]] = deque()
        self._closed = False

    def post(self, letter: Callable[[], None]) -> None:
        """Call `letter` soon; where the node is not spun yet, at the next `empty`; never once it is closed."""
        if self._closed:
            return
        self._letters.append(letter)
        executor = self._node.executor
        if executor is not None:
            executor.create_task(self.empty)
            executor.wake()

    def empty(self) -> None:
        """Call what has come in. To be called now and then by a timer, too."""
        while self._letters:
            self._letters.popleft()()

    def close(self) -> None:
        """Call what has come in, and take no more: what letters speak of goes."""
        self._closed = True
        self.empty()
