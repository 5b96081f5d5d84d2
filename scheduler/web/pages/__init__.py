"""The pages for people: rendered on the server, kept live by events, usable without a mouse."""

from __future__ import annotations

from fastapi import APIRouter

from scheduler.web.pages import calls, campaigns, imports, leads, overview, schedule, system

router = APIRouter(include_in_schema=False)
for part in (overview, campaigns, leads, calls, imports, schedule, system):
    router.include_router(part.router)
