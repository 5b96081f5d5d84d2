"""A daemon with one part exchanged: broken on purpose, or stopped at an instant that has no named point.

Nothing of Ringback is patched: each variant is a subclass or another object passed in, so what is tested
is whether the harness notices. Run as `python -m tests.faults.variant_daemon NAME`, with `--port P` to take
in webhooks too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from scheduler.clock import boottime
from scheduler.config import Keys, Settings
from scheduler.errors import InvalidValue
from scheduler.events import Reporter, set_up_logging
from scheduler.providers import sending
from scheduler.providers.base import (
    DialAnswer,
    DialRequest,
    Hook,
    Provider,
    ProviderEvent,
    RefusalKind,
    Refused,
    Unanswered,
)
from scheduler.providers.registry import open_provider, wiring_of
from scheduler.providers.retell import Retell, read_account
from scheduler.providers.simulator_http import HttpSimulator
from scheduler.service import dispatch, inbox, upkeep
from scheduler.service.daemon import Daemon
from scheduler.service.runtime import Providers, Runtime, open_runtime
from scheduler.store import calls
from scheduler.store.calls import Move
from scheduler.store.database import Connection, Database
from scheduler.web.server import WebServer
from scheduler.web.webhooks import Webhooks


class RepeatingProvider(HttpSimulator):
    """Asks again when the answer was lost, as an HTTP library with retries does."""

    def place(self, request: DialRequest) -> DialAnswer:
        answer = super().place(request)
        return super().place(request) if isinstance(answer, Unanswered) else answer


class HopefulProvider(HttpSimulator):
    """Takes a lost answer for a call that was not made."""

    def place(self, request: DialRequest) -> DialAnswer:
        answer = super().place(request)
        return Refused(RefusalKind.REFUSED, answer.reason, timedelta(0)) if isinstance(answer, Unanswered) else answer


class ForgetfulProvider(HttpSimulator):
    """Finds nothing by reference, and says so as if that were proof."""

    def find(self, call: object, now: datetime) -> None:
        return None


class StoppingProvider(HttpSimulator):
    """Stops its process after the last look at the clock, just before the request leaves. Once."""

    stopped = False

    def place(self, request: DialRequest) -> DialAnswer:
        if not self.stopped:
            self.stopped = True
            stop_here()
        return super().place(request)


SENDING = sending.__file__


class FreezingProvider(HttpSimulator):
    """Stops its process once, at any instruction between its dispatcher's last look at the clock and the answer.

    The first dial counts what the interpreter does; the second is stopped after such a share of it as
    RINGBACK_TEST_FREEZE_AT says, from 0 for the first instruction to 1 for the last, or at the end of the function
    that it names: `look` is the very last look at the clock, `note` the one after the request has left.
    """

    counted = 0
    stopped = False

    def place(self, request: DialRequest) -> DialAnswer:
        if self.stopped:
            return super().place(request)
        told = os.environ["RINGBACK_TEST_FREEZE_AT"]
        self.stopped = self.counted > 0
        steps = _Steps(told, self.counted)
        with steps:
            answer = super().place(request)
        if self.stopped and not steps.has_stopped:
            stop_here()  # it had a connection already, or the answer came in fewer pieces
        self.counted = steps.done
        return answer


class _Steps:
    """Counts the instructions of this thread, and stops the process at one of them."""

    def __init__(self, told: str, counted: int) -> None:
        """`counted` is how many there are, 0 while that is to be learnt."""
        self._function = told if told.isalpha() and counted else None
        self._stop_at = int(float(told) * counted) if not told.isalpha() and counted else None
        self.done = 0
        self.has_stopped = False

    def __enter__(self) -> None:
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True
        if event == "return" and frame.f_code.co_name == self._function and frame.f_code.co_filename == SENDING:
            self._stop()
        elif event == "opcode":
            if self.done == self._stop_at:
                self._stop()
            self.done += 1
        return self._trace

    def _stop(self) -> None:
        self.has_stopped = True
        stop_here()


def stop_here() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    threading.Event().wait(0.1)  # the signal takes a moment to reach this thread


class TrustingRetell(Retell):
    """Takes whoever posts to it for Retell."""

    def glance(self, hook: Hook, now: datetime) -> None:
        return

    def _verify(self, hook: Hook, now: datetime) -> None:
        return


class HastyWriter(inbox.InboxWriter):
    """Says that events are stored, and stores them a moment later."""

    def keep(self, provider: str, events: Sequence[ProviderEvent], timeout: float = 8.0) -> None:
        self._queue.put((provider, events, Future()))

    def _commit(self, batch: Sequence[tuple[str, Sequence[ProviderEvent], Future[int]]]) -> None:
        threading.Event().wait(0.3)
        super()._commit(batch)


class FarDatabase(Database):
    """A database whose clock seems to be two hours behind that of this host. For where libfaketime is missing."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=2)


class ForgetfulUpkeep(upkeep.Upkeep):
    """Never looks at leases."""

    def _expire_leases(self, connection: Connection, now: datetime, report: upkeep.Report) -> None:
        return


class HastyUpkeep(upkeep.Upkeep):
    """Gives a row whose lease ran out straight back, without asking the provider."""

    def _expire_leases(self, connection: Connection, now: datetime, report: upkeep.Report) -> None:
        found = calls.list_expired_leases(connection, now, upkeep.MANY)
        calls.mark_refused(connection, {attempt_id: "its lease ran out" for attempt_id, _ in found})
        calls.give_back(connection, [Move(row_id, now, "its lease ran out") for _, row_id in found], now)


class CarelessDispatcher(dispatch.Dispatcher):
    """Dials whatever it once took, however long ago."""

    def _place(self, job: dispatch.DialJob) -> tuple[DialAnswer, float]:
        from scheduler.service.fault_points import reach

        reach("dial.before_request")
        return self.runtime.providers.get(job.provider).place(job.request), boottime()


class EarlyDispatcher(dispatch.Dispatcher):
    """Dials before the intent is committed: inside the transaction that takes."""

    def _turn(self, places: int) -> dispatch.Report:
        database, early = self.runtime.database, self

        class Dialing:
            """The database, except that a take asks the provider before its commit."""

            def __getattr__(self, name: str) -> object:
                return getattr(database, name)

            def transact(self, work: Callable[[Connection], object], **options: int) -> object:
                def dial_inside(connection: Connection) -> object:
                    from scheduler.service.fault_points import reach

                    jobs = work(connection)
                    for job in jobs if isinstance(jobs, list) else ():
                        early.answers[job.attempt_id] = early.runtime.providers.get(job.provider).place(job.request)
                    reach("dial.after_answer")
                    return jobs

                return database.transact(dial_inside, **options)

        self.answers: dict[int, DialAnswer] = {}
        real, self.runtime = self.runtime, Runtime(
            self.runtime.settings, Dialing(), self.runtime.clock, self.runtime.providers  # type: ignore[arg-type]
        )
        try:
            return super()._turn(places)
        finally:
            self.runtime = real

    def _place(self, job: dispatch.DialJob) -> tuple[DialAnswer, float]:
        return self.answers.get(job.attempt_id, Unanswered("not asked")), boottime()


PROVIDERS: dict[str, type[HttpSimulator]] = {
    "repeat_on_timeout": RepeatingProvider,
    "unknown_is_failed": HopefulProvider,
    "not_found_is_proof": ForgetfulProvider,
    "stop_in_the_last_gap": StoppingProvider,
    "stop_while_sending": FreezingProvider,
}
UPKEEPS = {"give_back_at_once": HastyUpkeep, "forgets_leases": ForgetfulUpkeep}
DISPATCHERS = {"no_dial_budget": CarelessDispatcher, "request_before_intent": EarlyDispatcher}


class VariantDaemon(Daemon):
    def __init__(self, runtime: Runtime, name: str) -> None:
        super().__init__(runtime)
        parts = {"owner": self.owner, "rulebook": self.dispatcher.rulebook, "reporter": self.reporter}
        if name in UPKEEPS:
            self.upkeep = UPKEEPS[name](runtime, **parts)
        if name in DISPATCHERS:
            self.dispatcher = DISPATCHERS[name](runtime, **parts)


def serve(runtime: Runtime, name: str, port: int) -> None:
    """Take in webhooks beside the daemon, as `ringback run --with-web` does, or with the writer exchanged."""
    if name != "answers_before_commit":
        WebServer(runtime, "127.0.0.1", port).start()
        return

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        app.state.webhooks = Webhooks(runtime, HastyWriter(inbox.Inbox(runtime)), Reporter())
        yield

    app = FastAPI(lifespan=living)
    app.include_router(Webhooks.router())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    threading.Thread(target=server.run, daemon=True).start()


def open_variant(provider: str, name: str, settings: Settings, runtime: Runtime) -> Provider:
    if name == "trusts_everybody":
        return TrustingRetell(read_account(Keys(), wiring_of(settings)), wiring_of(settings))
    if name not in PROVIDERS:
        return open_provider(provider, settings, runtime.clock)
    if not settings.simulator_url:
        raise InvalidValue("RINGBACK_SIMULATOR_URL", None, "a variant dials a simulator of its own process")
    return PROVIDERS[name](
        settings.simulator_url, places=settings.dialing_places,
        request_timeout=timedelta(seconds=settings.request_timeout),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    real = open_runtime()
    settings = real.settings
    set_up_logging(settings.log_level, settings.log_format)
    database = FarDatabase(settings.url) if options.name == "clock_off" else real.database
    runtime = Runtime(
        settings, database, real.clock,
        Providers(lambda provider: open_variant(provider, options.name, settings, real)), settings.provider,
    )
    if options.port:
        serve(runtime, options.name, options.port)
    return VariantDaemon(runtime, options.name).run()


if __name__ == "__main__":
    sys.exit(main())
