"""What changes, pushed to open pages as server-sent events."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
