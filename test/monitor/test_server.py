"""The page's server: who may watch, and that nothing goes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from test.monitor import said
from uav_twin_migration.errors import InputError, UavTwinError
from uav_twin_migration.monitor.html import page
from uav_twin_migration.monitor.server import WAITING, PageServer, check_address

aiohttp = pytest.importorskip("aiohttp", reason="the page's server needs aiohttp")


@pytest.fixture
def server() -> Iterator[PageServer]:
    started = PageServer(page())
    yield started
    started.close()


def get(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    async def ask() -> tuple[int, str, dict[str, str]]:
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar) as session, session.get(url, headers=headers) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    return asyncio.run(ask())


def test_the_page_is_served_on_loopback(server: PageServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    status, text, headers = get(server.url)
    assert status == 200
    assert "<!doctype html>" in text
    assert headers["X-Frame-Options"] == "DENY"


def test_the_documentation_is_served_and_nothing_else(server: PageServer) -> None:
    assert get(server.url + "docs/game.md")[0] == 200
    for path in ("docs/../setup.py", "docs/%2e%2e/setup.py", "docs/nothing.md", "setup.py", "frames/x"):
        assert get(server.url + path)[0] == 404


def test_foreign_names_and_sites_are_turned_away(server: PageServer) -> None:
    assert get(server.url, Host=f"evil.example:{server.port}")[0] == 403
    assert get(server.url, Origin="http://evil.example")[0] == 403
    assert get(server.url, Origin=f"http://127.0.0.1:{server.port}")[0] == 200
    assert get(server.url, Host=f"localhost:{server.port}")[0] == 200


def test_other_addresses_take_a_token() -> None:
    with pytest.raises(InputError, match="--token"):
        check_address("0.0.0.0", "")
    with pytest.raises(InputError, match="--address"):
        check_address("example.org", "")
    with pytest.raises(InputError, match="8 or more"):
        check_address("0.0.0.0", "short")
    server = PageServer(page(), token="0123456789")
    try:
        bare = server.url.partition("?")[0]
        assert get(bare)[0] == 403
        assert get(bare + "?token=wrong")[0] == 403
        status, _, headers = get(server.url)
        assert status == 200
        assert "HttpOnly" in headers["Set-Cookie"]
        assert get(bare, Cookie="uavtwin_token=0123456789")[0] == 200
    finally:
        server.close()


def test_a_port_that_is_taken_is_said_so(server: PageServer) -> None:
    with pytest.raises(UavTwinError, match="--port"):
        PageServer(page(), port=server.port)


def test_a_viewer_gets_what_was_and_what_comes_and_is_not_listened_to(server: PageServer) -> None:
    listener = said.small_city()
    server.show(listener.city.cast(), listener.frame(0.6, sampled=True))

    async def watch() -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url + "frames") as socket:
            first = json.loads(await socket.receive_str(timeout=60))
            await socket.send_str('{"price": 1e9}')
            server.show(listener.city.cast(), listener.frame(0.8, sampled=False))
            return [first, json.loads(await socket.receive_str(timeout=60))]

    first, second = asyncio.run(watch())
    assert first["cast"]["name"] == "small"
    assert [frame["t"] for frame in first["frames"]] == [0.6]
    assert [frame["t"] for frame in second["frames"]] == [0.8]
    assert "cast" not in second


def test_a_viewer_that_does_not_read_delays_nobody(server: PageServer) -> None:
    listener = said.small_city()
    server.show(listener.city.cast(), listener.frame(0.6, sampled=True))

    async def watch() -> float:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url + "frames") as idle:
            await idle.receive_str(timeout=60)
            async with session.ws_connect(server.url + "frames") as reader:
                await reader.receive_str(timeout=60)
                for number in range(4 * WAITING):
                    server.show(listener.city.cast(), listener.frame(1.0 + number, sampled=False))
                last = 0.0
                while last < 4 * WAITING:
                    last = json.loads(await reader.receive_str(timeout=60))["frames"][-1]["t"]
                return last

    assert asyncio.run(watch()) == 4 * WAITING
