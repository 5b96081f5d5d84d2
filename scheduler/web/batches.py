"""The front ends that speak of batches and jobs: their addresses, their words, over the same functions."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
