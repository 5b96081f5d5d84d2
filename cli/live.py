"""The live view of `ringback run`: where everything stands, and the last things that happened.

Only looks: figures are read by a thread of its own, and the more slowly the longer that takes, so that
watching a large database costs it little. Numbers arrive here shortened already.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli import output
from cli.run import Voice
from scheduler.errors import DatabaseUnavailable
from scheduler.store import reports

if TYPE_CHECKING:
    from scheduler.events import Line
    from scheduler.service.daemon import Daemon
    from scheduler.store.database import Database

KEPT = 200
FRAME = 9
"""Lines of the view that are not happenings."""
REST = 1.0
STYLES = {"warning": "yellow", "error": "bold red", "ended": "green", "closed": "dim", "dialing": "cyan"}


class LiveVoice(Voice):
    """Shows a view on the terminal instead of saying lines."""

    def __init__(self, least: str, database: Database) -> None:
        super().__init__(least)
        self._database = database
        self._console = Console()
        self._lines: deque[Line] = deque(maxlen=KEPT)
        self._figures: dict[str, Any] | None = None
        self._away: str | None = None
        self._over = threading.Event()

    def say(self, line: Line) -> None:
        self._lines.append(line)

    @contextmanager
    def heard(self, daemon: Daemon) -> Iterator[None]:
        watcher = threading.Thread(target=self._watch, name="live view", daemon=True)
        with super().heard(daemon), Live(get_renderable=self.draw, console=self._console, refresh_per_second=4):
            watcher.start()
            try:
                yield
            finally:
                self._over.set()
                watcher.join(timeout=2)
                self._look()  # the last picture stays on the screen, so it must be the end

    def draw(self) -> RenderableType:
        """The whole picture."""
        where = f"dashboard at {self.page}; " if self.page else ""
        return Group(
            Rule(f"ringback: {where}Ctrl-C stops it politely", align="left"),
            self._draw_figures(),
            Rule(),
            *self._draw_last(),
        )

    def _draw_last(self) -> list[Text]:
        """As many of the last happenings as there is room for, oldest first; long ones take several rows."""
        room = max(3, self._console.height - FRAME)
        drawn: list[Text] = []
        for line in reversed(tuple(self._lines)):
            text = self._draw_line(line)
            room -= len(text.wrap(self._console, self._console.width))
            if room < 0 and drawn:
                break
            drawn.insert(0, text)
        return drawn

    def _draw_figures(self) -> RenderableType:
        """Everything counted, or why nothing can be counted now."""
        if self._figures is None:
            return Text(self._away or "looking...")
        figures = self._figures
        grid = Table.grid(padding=(0, 2))
        grid.add_row("calls", _spoken(figures["schedule"]), "")
        grid.add_row("in flight", f"{figures['in_flight']} ({_spoken(figures['in_flight_by_state'])})", "")
        grid.add_row("leads", _spoken(figures["leads"]), "")
        grid.add_row("next due", output.words(figures["next_due_at"]) or "nothing is planned", "")
        total, closed = sum(figures["leads"].values()), figures["leads"]["closed"]
        grid.add_row("closed", ProgressBar(total=total or 1, completed=closed, width=40), f"{closed} of {total}")
        return Group(grid, Text(self._away, style="bold red")) if self._away else grid

    def _draw_line(self, line: Line) -> Text:
        style = STYLES.get(line.level) or STYLES.get(line.kind) or ""
        return Text.assemble((f"{line.at:%H:%M:%S} ", "dim"), (output.printable(line.text), style))

    def _watch(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self._look()
            self._over.wait(max(REST, 10 * (time.monotonic() - began)))

    def _look(self) -> None:
        try:
            now = self._database.now()
            self._figures = self._database.read(lambda connection: reports.read_progress(connection, now))
            self._away = None
        except DatabaseUnavailable as error:
            self._away = output.printable(str(error))


def _spoken(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items())
