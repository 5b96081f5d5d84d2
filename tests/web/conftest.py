"""The web application on a real socket, and a client that speaks HTTP to it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from scheduler.events import Reporter
from scheduler.service.runtime import Runtime
from scheduler.web.server import WebServer
from tests.waiting import PLAIN
from tests.web.browser import chromium, visit

__all__ = ["chromium", "client", "served", "visit"]


@pytest.fixture
def served(runtime: Runtime) -> Iterator[str]:
    """Its address. The clock stands still; the test may move it."""
    server = WebServer(runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def client(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, **PLAIN) as made:
        yield made
