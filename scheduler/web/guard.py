"""What every request passes before anything else looks at it: headers, sizes, rates."""

from __future__ import annotations

from fastapi import FastAPI


def guard(app: FastAPI) -> None:
    """Put the guards around the application."""
