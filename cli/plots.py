"""The figure of `ringback report --plot`: funnel, outcomes, and the week.

matplotlib is imported only here, and only when a plot is asked for. It draws into memory, without a screen and
without pyplot's windows; the file is written at once when the figure is complete.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cli.report import DAYS
from scheduler.errors import InvalidValue, MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scheduler.service.report import Report

BLUE, GREY = "#2b6cb0", "#e2e8f0"


def check_plot(path: Path) -> None:
    """Can it be drawn and written? Raises before anything is counted."""
    if path.suffix.lower() != ".png":
        raise InvalidValue("--plot", str(path), "write the name of a file that ends in .png")
    if path.exists() and not path.is_file():
        raise InvalidValue("--plot", str(path), "it is there and is no file, so it is not written over; name another")
    if not path.parent.is_dir():
        raise InvalidValue("--plot", str(path), f"there is no folder {path.parent}; make it first, or name another")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("--plot", "plot") from None


def draw_report(report: Report, path: Path) -> None:
    """Write the figure. Raises OSError where the file cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic([["funnel", "outcomes"], ["week", "week"]])
    about = f"campaign {report.campaign}" if report.campaign else "all leads"
    since = f", since {report.since:%Y-%m-%d %H:%M} UTC" if report.since else ""
    figure.suptitle(f"{about}{since}, as of {report.at:%Y-%m-%d %H:%M} UTC", parse_math=False)
    funnel = report.funnel
    _draw_bars(panels["funnel"], "leads", {
        "leads": funnel.leads, "called": funnel.called, "reached": funnel.reached, "succeeded": funnel.succeeded,
        "closed": funnel.closed,
    })
    _draw_bars(panels["outcomes"], "attempts by outcome", funnel.by_outcome)
    _draw_week(figure, panels["week"], report)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    path.write_bytes(drawn.getvalue())


def _draw_bars(panel: Axes, title: str, bars: Mapping[str, int]) -> None:
    panel.set_title(title)
    drawn = panel.barh(range(len(bars)), list(bars.values()), color=BLUE)
    panel.bar_label(drawn, padding=3)
    panel.set_yticks(range(len(bars)), labels=list(bars), parse_math=False)
    panel.invert_yaxis()
    panel.margins(x=0.15)
    panel.xaxis.set_visible(False)  # every bar bears its number
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_week(figure: Figure, panel: Axes, report: Report) -> None:
    """Weekday by hour; what was never tried stays grey."""
    week = report.answer_rate.by_weekday_and_hour
    percent = [
        [100 * (week[day][hour].rate or 0) if hour in week.get(day, {}) else float("nan") for hour in range(24)]
        for day in range(1, 8)
    ]
    panel.set_title("percent answered by weekday and hour, on the clock of each lead")
    panel.set_facecolor(GREY)
    image = panel.imshow(percent, aspect="auto", cmap="viridis", vmin=0)
    panel.set_xticks(range(24))
    panel.set_yticks(range(7), labels=list(DAYS))
    figure.colorbar(image, ax=panel, label="percent")
