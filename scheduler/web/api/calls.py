"""`/api/v1`: calls."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
