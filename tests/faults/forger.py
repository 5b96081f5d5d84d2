"""The fake Retell, with forgers who know how its webhooks look, but not the key.

A forged body says that the callee wants no calls, under the signature that the genuine body came with, and is
sent before it. Whoever takes one believes something else than the ledger, and the verdict shows it.
"""

from __future__ import annotations

import re

from tests.providers.fakes import vendor
from tests.providers.fakes.retell import Retell
from tests.providers.fakes.vendor import Hook

REASON = re.compile(rb'"disconnection_reason":"[a-z_]+"')


class ForgedRetell(Retell):
    def forge(self, hook: Hook) -> Hook:
        body = REASON.sub(b'"disconnection_reason":"user_requested_dnc"', hook.body)
        if body == hook.body:
            body = body.replace(b"agent_", b"agent-", 1)
        return Hook(hook.path, body, hook.headers, f"forged {hook.name}")


def main() -> None:
    vendor.main(ForgedRetell)


if __name__ == "__main__":
    main()
