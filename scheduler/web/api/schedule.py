"""`/api/v1`: schedule."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
