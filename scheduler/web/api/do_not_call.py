"""`/api/v1`: do_not_call."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
