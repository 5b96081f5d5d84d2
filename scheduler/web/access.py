"""Who is asking, and what they may do.

An endpoint names what it needs: `Reader`, `Operator` or `Admin` as the type of an argument. What must stay
true: an endpoint without one of them serves nothing but what anybody may see; the name of the caller is
what the audit gets (`service.acting`). A key of one account sees that account alone: see `reach.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Depends, Request

from scheduler.model import Scope
from scheduler.service import acting
from scheduler.service.runtime import Runtime
from scheduler.web.problems import Refusal


@dataclass(frozen=True, slots=True)
class Caller:
    """`account_id` is None for one that sees everything."""

    kind: Literal["open", "key", "user"]
    name: str
    scope: Scope
    account_id: int | None = None

    @property
    def actor(self) -> str:
        return self.kind if self.kind == "open" else f"{self.kind}:{self.name}"


def runtime_of(request: Request) -> Runtime:
    found: Runtime = request.app.state.runtime
    return found


async def find_caller(request: Request) -> Caller:
    """Raises Refusal for one who may not ask at all."""
    return Caller("open", "", Scope.ADMIN)


def needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    async def ask(request: Request) -> Caller:
        caller = await find_caller(request)
        if not caller.scope.includes(scope):
            raise Refusal(HTTPStatus.FORBIDDEN, f"this needs the scope {scope}; yours is {caller.scope}")
        # Each request is a task with a context of its own, which the threads that serve it inherit.
        acting.act_as(caller.actor)
        request.state.caller = caller
        return caller

    return ask


Reader = Annotated[Caller, Depends(needs(Scope.READ))]
Operator = Annotated[Caller, Depends(needs(Scope.OPERATE))]
Admin = Annotated[Caller, Depends(needs(Scope.ADMIN))]
RuntimeOf = Annotated[Runtime, Depends(runtime_of)]
