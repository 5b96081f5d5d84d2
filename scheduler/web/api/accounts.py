"""`/api/v1`: accounts."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
