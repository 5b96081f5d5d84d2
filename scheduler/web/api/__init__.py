"""REST under `/api/v1`: one module per noun, over the same service functions as the command line."""

from __future__ import annotations

from fastapi import APIRouter

from scheduler.web.api import (
    accounts,
    calls,
    campaigns,
    config,
    daemons,
    do_not_call,
    figures,
    imports,
    leads,
    schedule,
)

router = APIRouter(prefix="/api/v1")
for part in (campaigns, leads, schedule, calls, do_not_call, config, accounts, daemons, imports, figures):
    router.include_router(part.router)
