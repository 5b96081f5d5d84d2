"""REST under `/api/v1`: one module per noun, over the same service functions as the command line.

No rule lives here. `route` says how each address is served, `models` and `settings` what goes in and out,
`reference` shows the OpenAPI document to people.
"""

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
    reference,
    schedule,
)

router = APIRouter()
nouns = APIRouter(prefix="/api/v1")
for part in (campaigns, leads, schedule, calls, do_not_call, config, accounts, daemons, imports, figures):
    nouns.include_router(part.router)
router.include_router(nouns)
router.include_router(reference.router)
