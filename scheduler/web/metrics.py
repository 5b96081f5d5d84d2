"""What monitoring asks: `/metrics` for Prometheus, and whether this process lives and is ready."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
