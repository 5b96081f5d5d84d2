"""What changes, pushed to open pages as server-sent events.

Decided here: one poller per process reads the figures, only while somebody listens; what it read is written once
for each language and sent to all. What must stay true: a stream costs a few bytes every two seconds and no
statement of its own; whose key was revoked or who was removed hears nothing of the next reading; a reading that
takes long is made less often; at the end of the server every stream ends at once. A newcomer would let every stream
ask the database, and two hundred open pages would be two hundred pollers.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import StreamingResponse

from scheduler.errors import RingbackError
from scheduler.events import Reporter
from scheduler.service.access import Entrance
from scheduler.service.runtime import Runtime
from scheduler.web import words
from scheduler.web.access import Caller, Reader, door_of, still_welcome
from scheduler.web.pages.base import render_part, zone_of
from scheduler.web.pages.figures import (
    SHOWN_ALERTS,
    Glance,
    Memory,
    alert_address,
    memory_of,
    read_glance,
    texts_of,
    texts_of_campaign,
)
from scheduler.web.problems import Refusal
from scheduler.web.reach import require_everything

EVERY = 2.0
SLOWEST = 30.0
ALERTS_EVERY = 15.0
HEARTBEAT = 15.0
NOTED_EVERY = 60.0
MOST_STREAMS = 500
MOST_WATCHED = 60
"""Campaigns that one page may watch."""
MOST_WATCHED_TOGETHER = 2_000

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def stream(
    request: Request, caller: Reader, campaigns: Annotated[str, Query(max_length=1000, pattern=r"^[0-9,]*$")] = ""
) -> StreamingResponse:
    """The figures of the overview, and of these campaigns (ids). 403 for a key of one account, 503 when it is full."""
    require_everything(caller)
    board = board_of(request.app)
    language = words.choose_language(
        request.cookies.get("ringback_language"), request.headers.get("accept-language")
    )
    watched = frozenset(int(one) for one in campaigns.split(",") if one and len(one) < 19)
    if len(watched) > MOST_WATCHED:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"campaigns: at most {MOST_WATCHED} can be watched by one page")
    listener = board.join(language, watched, caller)

    def note_use() -> None:
        if caller.kind != "open":
            door_of(request).note_use(caller.kind, caller.id)

    return StreamingResponse(
        _send(board, listener, note_use), media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def board_of(app: FastAPI) -> Board:
    """The one of this process, made when it is first asked for."""
    found: Board | None = getattr(app.state, "board", None)
    if found is None:
        found = app.state.board = Board(app.state.runtime, memory_of(app), app.state.reporter, app.state.door.entrance)
    return found


async def _send(board: Board, listener: Listener, note_use: Callable[[], None]) -> AsyncIterator[bytes]:
    noted_at = time.monotonic()
    try:
        # A proxy or a browser shows that the stream is open only when something of it has come.
        yield b"retry: 3000\n\n"
        while not board.is_over and listener.caller not in board.unwelcome:
            news = board.news_for(listener)
            if news:
                yield news
            if not await board.wait(HEARTBEAT):
                yield b": still here\n\n"
            if time.monotonic() - noted_at > NOTED_EVERY:  # a page that is open is looked at
                noted_at = time.monotonic()
                note_use()
    finally:
        board.leave(listener)


@dataclass(eq=False, slots=True)
class Listener:
    """One open stream. `seen` is the last turn that it was told of."""

    language: str
    watched: frozenset[int]
    caller: Caller
    seen: int = -1


@dataclass(slots=True)
class _Topic:
    """What is known under one name, and what of it changed in the last turn."""

    news: dict[str, Any] = field(default_factory=dict)
    whole: bytes = b""
    changed: bytes = b""

    def turn(self, news: dict[str, Any]) -> None:
        change = {
            kind: {name: one for name, one in now.items() if self.news.get(kind, {}).get(name) != one}
            for kind, now in news.items()
        }
        change = {kind: one for kind, one in change.items() if one}
        self.changed = _event(change) if change else b""
        if change or not self.whole:
            self.news, self.whole = news, _event(news)


class Board:
    """What is sent to everybody. Everything but `_read` happens in the loop of the server.

    `unwelcome` are the callers that the last reading found no longer let in: their streams end.
    """

    def __init__(self, runtime: Runtime, memory: Memory, reporter: Reporter, entrance: Entrance) -> None:
        self.runtime, self.memory, self.reporter, self.entrance = runtime, memory, reporter, entrance
        self.unwelcome: frozenset[Caller] = frozenset()
        self.is_over = False
        self.most = MOST_STREAMS
        self.turns = 0
        self._listeners: set[Listener] = set()
        self._watched: Counter[int] = Counter()
        self._languages: Counter[str] = Counter()
        self._topics: dict[tuple[str, int | None], _Topic] = {}
        self._poller: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turned: asyncio.Future[None] | None = None
        self._hurry: asyncio.Event | None = None
        self._limiter = anyio.CapacityLimiter(1)
        self._alerts_next = 0.0

    @property
    def streams(self) -> int:
        return len(self._listeners)

    def join(self, language: str, watched: frozenset[int], caller: Caller) -> Listener:
        """Raises Refusal when there are too many, or the server ends."""
        if self.is_over or len(self._listeners) >= self.most:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "there are too many open pages; try again later", {"Retry-After": "15"}
            )
        if len(self._watched.keys() | watched) > MOST_WATCHED_TOGETHER:
            watched = frozenset()
        self._loop = asyncio.get_running_loop()
        if self._turned is None or self._hurry is None:
            self._turned, self._hurry = self._loop.create_future(), asyncio.Event()
        listener = Listener(language, watched, caller)
        self._listeners.add(listener)
        self.unwelcome -= {caller}  # who was let in just now
        self._languages[language] += 1
        self._watched.update(watched)
        if any((language, one) not in self._topics for one in (None, *watched)):
            self._hurry.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="live figures")
        return listener

    def leave(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._languages -= Counter((listener.language,))
            self._watched -= Counter(listener.watched)

    def close(self) -> None:
        """Every stream ends now, and none follows. From any thread."""
        self.is_over = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    async def wait(self, longest: float) -> bool:
        """For the next turn. False: nothing happened for so long."""
        assert self._turned is not None, "made by join"
        done, _ = await asyncio.wait({self._turned}, timeout=longest)
        return bool(done)

    def news_for(self, listener: Listener) -> bytes:
        """What this one does not know yet."""
        if listener.seen == self.turns:
            return b""
        is_next = listener.seen == self.turns - 1 and listener.seen >= 0
        listener.seen = self.turns
        topics = [self._topics.get((listener.language, one)) for one in (None, *sorted(listener.watched))]
        if any(one is None for one in topics):
            listener.seen = -1  # joined in the middle of a reading: the next one is for it too
        return b"".join((one.changed if is_next else one.whole) for one in topics if one is not None)

    def _wake(self) -> None:
        if self._turned is not None and not self._turned.done():
            self._turned.set_result(None)
        if self._loop is not None:
            self._turned = self._loop.create_future()
        if self.is_over and self._hurry is not None:
            self._hurry.set()

    async def _poll(self) -> None:
        assert self._hurry is not None, "made by join"
        while self._listeners and not self.is_over:
            self._hurry.clear()
            began = time.monotonic()
            languages, watched = tuple(self._languages), tuple(self._watched)
            callers = frozenset(one.caller for one in self._listeners)
            try:
                read = await anyio.to_thread.run_sync(self._read, languages, watched, limiter=self._limiter)
                # After the figures, so that none of them is sent to somebody who was turned out before they were read.
                self.unwelcome = await anyio.to_thread.run_sync(self._turned_out, callers, limiter=self._limiter)
            except RingbackError:
                read = {(language, None): {"away": {"is_away": True}} for language in languages}
            except Exception as error:  # a mistake of ours must not end the figures of everybody
                self.reporter.tick_failed(self.runtime.clock_of_host(), "live figures", error)
                read = {(language, None): {"away": {"is_away": True}} for language in languages}
            self._take(read)
            took = time.monotonic() - began
            try:
                await asyncio.wait_for(self._hurry.wait(), min(SLOWEST, max(EVERY, 5 * took)))
            except TimeoutError:
                continue
        self._poller = None

    def _take(self, read: Mapping[tuple[str, int | None], dict[str, Any]]) -> None:
        for key in self._topics.keys() - read.keys():
            del self._topics[key]
        for key, news in read.items():
            self._topics.setdefault(key, _Topic()).turn(news)
        self.turns += 1
        self._wake()

    def _turned_out(self, callers: frozenset[Caller]) -> frozenset[Caller]:
        return callers - still_welcome(self.entrance, callers)

    def _read(
        self, languages: tuple[str, ...], watched: tuple[int, ...]
    ) -> dict[tuple[str, int | None], dict[str, Any]]:
        """In a thread: one reading, written in each language."""
        now = self.runtime.clock.now()
        glance = read_glance(self.runtime, self.memory.rulebook, now, watched)
        if time.monotonic() >= self._alerts_next or self.memory.alerts.peek() is None:
            began = time.monotonic()
            self.memory.alerts.read()
            self._alerts_next = time.monotonic() + max(ALERTS_EVERY, 20 * (time.monotonic() - began))
        found: dict[tuple[str, int | None], dict[str, Any]] = {}
        for language in languages:
            found[language, None] = self._write(glance, language)
            for campaign_id, counted in glance.watched.items():
                found[language, campaign_id] = {
                    "texts": texts_of_campaign(campaign_id, counted, language),
                    "values": {f"c{campaign_id}_progress": round(100 * counted.progress, 1)},
                }
        return found

    def _write(self, glance: Glance, language: str) -> dict[str, Any]:
        alerts = self.memory.alerts.peek() or []
        texts, values = texts_of(glance, language), {}
        for one in glance.running:
            texts |= texts_of_campaign(one.campaign.id, one.totals, language)
            values[f"c{one.campaign.id}_progress"] = round(100 * one.totals.progress, 1)
        texts["alerts_count"] = words.write_number(language, len(alerts))
        parts = {"glance": glance, "alerts": alerts, "alert_address": alert_address, "shown": SHOWN_ALERTS}
        return {
            "texts": texts,
            "values": values,
            "parts": {
                name: render_part(language, zone_of(glance.config), glance.now, f"parts/{name}.html", **parts)
                for name in ("alerts", "hours")
            },
            "spoken": {"text": _spoken(glance, len(alerts), language)},
        }


def _spoken(glance: Glance, alerts: int, language: str) -> str:
    """What a screen reader is told: only what somebody must hear, so that it is not talked to every two seconds."""
    return words.say_number(language, alerts, "{n} alert", "{n} alerts") if alerts else ""


def _event(news: Mapping[str, Any]) -> bytes:
    return b"event: figures\ndata: " + json.dumps(news, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
