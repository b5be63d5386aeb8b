"""Serves the page, and a live city's frames over a WebSocket. Read-only: whatever a viewer sends is not even looked at.

It listens on loopback. Any other address takes a token, which the page's address carries and a cookie then holds. It
answers to its own names alone, so that no foreign page reaches it through a name that it makes point here.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import ipaddress
import json
import secrets
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from uav_twin_migration.errors import InputError, UavTwinError, missing_library
from uav_twin_migration.monitor.frames import Cast, Frame, cast_to_json, frame_to_json
from uav_twin_migration.monitor.html import PARTS
from uav_twin_migration.shipped import shipped_file

KEPT = 300  # frames that a new viewer gets at once
WAITING = 8  # messages that may wait for a viewer before it misses some
MOST_VIEWERS = 100
STARTUP = 10.0  # s
COOKIE = "uavtwin_token"


class PageServer:
    """A page and its viewers, in a thread of its own.

    Raises:
        InputError: an address that is none, or that others could reach, without a token.
        UavTwinError: aiohttp is missing, or the port is taken.
    """

    def __init__(self, html: str, address: str = "127.0.0.1", port: int = 0, token: str = "") -> None:
        """port: 0 for any that is free. token: what viewers from elsewhere have to know."""
        check_address(address, token)
        try:
            import aiohttp.web
        except ImportError:
            raise missing_library("the page needs", "aiohttp>=3.8") from None
        self._web = aiohttp.web
        self._html, self._address, self._token = html, address, token
        self._viewers: set[asyncio.Queue[str]] = set()
        self._cast = ""
        self._shown: Cast | None = None
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self.port = port
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()
        if not self._started.wait(STARTUP):
            raise UavTwinError(f"the page's server did not start within {STARTUP:.0f} s")
        if self._failure is not None:
            raise UavTwinError(f"{address}:{port}: {self._failure.strerror or self._failure}; choose another --port")

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"http://{host}:{self.port}/" + (f"?token={self._token}" if self._token else "")

    def show(self, cast: Cast, frame: Frame) -> None:
        """Another frame, and who takes part in it."""
        said = json.dumps(frame_to_json(frame), separators=(",", ":"), allow_nan=False)
        who = ""
        if cast is not self._shown:
            self._shown = cast
            who = json.dumps(cast_to_json(cast), separators=(",", ":"), allow_nan=False)
        self._loop.call_soon_threadsafe(self._broadcast, who, said)

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTUP)

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _broadcast(self, cast: str, frame: str) -> None:
        if cast:
            self._cast = cast
        self._kept.append(frame)
        message = message_of(cast, [frame])
        for queue in self._viewers:
            if queue.full():
                queue.get_nowait()  # a viewer that is too slow misses the oldest, and delays nobody
            queue.put_nowait(message)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._start())
        self._started.set()
        if self._failure is None:
            self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _start(self) -> Any:
        web = self._web

        async def guard(request: Any, handler: Any) -> Any:
            return await self._guard(request, handler)

        app = web.Application(middlewares=[web.middleware(guard)])
        app.router.add_get("/", self._page)
        app.router.add_get("/frames", self._frames)
        app.router.add_get("/three.js", self._three)
        app.router.add_get(r"/docs/{name:[a-z]+\.md}", self._docs)
        runners = "shutdown_timeout" in inspect.signature(web.BaseRunner).parameters
        soon = {"shutdown_timeout": 0.2}  # the runner's from aiohttp 3.9 on; before (Humble, Debian 12) the site's
        runner = web.AppRunner(app, access_log=None, **(soon if runners else {}))
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._address, self.port, **({} if runners else soon))
            await site.start()
            self.port = runner.addresses[0][1]
        except OSError as error:
            self._failure = error
        return runner

    async def _guard(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Who may ask: with a token whoever knows it; else this machine, by its own names."""
        host = request.host.rpartition(":")[0] or request.host
        if not self._token and not is_loopback(host.strip("[]")):
            return self._web.Response(status=403, text="ask for 127.0.0.1 or localhost\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return self._web.Response(status=403, text="asked for by another site\n")
        if self._token and not self._knows_token(request):
            return self._web.Response(status=403, text="add ?token=… to the address, as uavtwin printed it\n")
        return await handler(request)

    def _knows_token(self, request: Any) -> bool:
        said = (request.query.get("token", ""), request.cookies.get(COOKIE, ""))
        return any(hmac.compare_digest(one.encode(), self._token.encode()) for one in said)

    async def _page(self, request: Any) -> Any:
        response = self._web.Response(text=self._html, content_type="text/html")
        response.enable_compression()
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        if self._token:
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="Strict")
        return response

    async def _three(self, request: Any) -> Any:
        """What draws in three dimensions, for those who ask."""
        response = self._web.Response(
            text=(PARTS / "three.js").read_text(encoding="utf-8"), content_type="text/javascript"
        )
        response.enable_compression()
        return response

    async def _docs(self, request: Any) -> Any:
        file = shipped_file(f"docs/{request.match_info['name']}")
        if file is None:
            return self._web.Response(status=404, text="this page is in the project's docs folder\n")
        return self._web.Response(text=file.read_text(encoding="utf-8"), content_type="text/plain")

    async def _frames(self, request: Any) -> Any:
        """What has been, then what comes. A viewer that says something is not answered."""
        if len(self._viewers) >= MOST_VIEWERS:
            return self._web.Response(status=503, text=f"{MOST_VIEWERS} viewers are watching already\n")
        socket = self._web.WebSocketResponse(heartbeat=20.0, max_msg_size=1024)
        await socket.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self._viewers.add(queue)
        reader = asyncio.ensure_future(ignore(socket))
        try:
            if self._cast:
                await socket.send_str(message_of(self._cast, list(self._kept)))
            while not reader.done():
                waiting = asyncio.ensure_future(queue.get())
                await asyncio.wait({waiting, reader}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    break
                await socket.send_str(waiting.result())
        except ConnectionError:
            pass
        finally:
            self._viewers.discard(queue)
            reader.cancel()
        return socket


async def ignore(socket: Any) -> None:
    """Read a WebSocket to its end, which answers its pings, and forget what comes."""
    async for _ in socket:
        pass


def message_of(cast: str, frames: list[str]) -> str:
    """A message to viewers, of parts that are JSON already."""
    who = f'"cast":{cast},' if cast else ""
    return f'{{{who}"frames":[{",".join(frames)}]}}'


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(address: str, token: str) -> None:
    """Raises InputError where anybody else could watch without a token."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        if address != "localhost":
            raise InputError("command line", "--address", address, "an IP address of this machine") from None
    if not is_loopback(address) and not token:
        suggestion = secrets.token_urlsafe(16)
        raise InputError(
            "command line", "--token", token, f"a secret for viewers from other machines, such as {suggestion}"
        )
    if token and (len(token) < 8 or not token.isascii() or not token.isprintable() or set(token) & set(' "&#+%;,\\')):
        raise InputError("command line", "--token", "a token", "8 or more letters, digits, - and _")
