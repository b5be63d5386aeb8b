"""What a transfer of a twin is compared with: a socket with TLS, the store, a file, each by itself."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from uav_twin_migration.security.authority import make_keys
from uav_twin_migration.security.certificates import Identity
from uav_twin_migration.twin.hosting.runtime import LONG_LOG
from uav_twin_migration.twin.hosting.store import Store
from uav_twin_migration.twin.hosting.store_database import checkpoint_beside
from uav_twin_migration.twin.protocol.chunks import Chunk


def bare_store(size: int) -> float:
    """Bytes a second that a store takes by itself, with the write-ahead log brought into the file beside it."""
    contents = [random.Random(number).randbytes(64 * 1024) for number in range(16)]
    chunks = [Chunk(number, 1, b"", contents[number % 16]) for number in range(size // (64 * 1024))]
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")))
        store = stack.enter_context(Store(Path(directory) / "store.db", "a"))
        copy, began, twin_client = store.add_copy("u", "bench", 64 * 1024), time.perf_counter(), None
        for first in range(0, len(chunks), 128):
            store.write(copy, chunks[first : first + 128])
            store.commit()
            if store.log_size() > LONG_LOG and (twin_client is None or not twin_client.is_alive()):
                twin_client = threading.Thread(target=checkpoint_beside, args=(store.path,))
                twin_client.start()
        seconds = time.perf_counter() - began
        if twin_client is not None:
            twin_client.join()
    return size / seconds


def plain_file(size: int) -> float:
    """Bytes a second of a file that is written and synced."""
    block = random.Random(1).randbytes(1024 * 1024)
    with tempfile.NamedTemporaryFile(dir=os.environ.get("TMPDIR"), buffering=0) as file:
        began = time.perf_counter()
        for _ in range(size // len(block)):
            file.write(block)
        os.fsync(file.fileno())
        return size // len(block) * len(block) / (time.perf_counter() - began)


def bare_tls(size: int) -> float:
    """Bytes a second of TLS over a blocking socket to another process."""
    with tempfile.TemporaryDirectory() as directory:
        make_keys(Path(directory), ["a"])
        identity = Identity(directory, "a")
        ends = multiprocessing.Pipe()
        sink = multiprocessing.get_context("fork").Process(target=_sink, args=(identity.server, size, ends[0]))
        sink.start()
        port = ends[1].recv()
        plain = socket.create_connection(("127.0.0.1", port))
        with identity.client.wrap_socket(plain) as connection:
            block, began = bytes(64 * 1024), time.perf_counter()
            for _ in range(0, size, len(block)):
                connection.sendall(block)
            connection.recv(1)
            seconds = time.perf_counter() - began
        sink.join()
    return size / seconds


def _sink(context: ssl.SSLContext, size: int, parent: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        parent.send(listener.getsockname()[1])
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            room, got = bytearray(64 * 1024), 0
            while got < size:
                got += connection.recv_into(room)
            connection.sendall(b"!")
