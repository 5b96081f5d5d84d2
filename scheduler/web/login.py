"""The door for people: logging in and out, and who may."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
