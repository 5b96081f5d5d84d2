"""What Ringback does: joins the tables, the providers and the rules, and reads the clock once per step.

States. A scheduled call is `pending` until a daemon claims it, `in_progress` while its attempt is open,
`completed` with an outcome or `cancelled` with a reason. An attempt is `placing` from the committed
intent to the provider's answer, then `live`, `refused` or `unknown`, and at last `ended`.

Invariants. The committed `placing` row is the permission to dial: no commit, no dial. At most one start
request leaves per attempt, without exception. What the provider did not answer is unknown and is looked
up, never repeated. An outcome and what follows from it are one transaction. Facts ("this attempt has
that call id") may be written by anyone at any time and only move forward; decisions ("dial", "retry",
"close") need the row in the expected state, and the lease token while `placing`.

Authority. The database says what is due, who holds it and what time it is; the provider says whether a
call was made; `scheduler_config` and `call_settings` say what is allowed.
"""
