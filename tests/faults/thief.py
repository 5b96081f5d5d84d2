"""The fake Twilio, on an account that another program uses too.

Whenever a start request is lost without a call, that program calls the same person from the same number in the same
second, and talks to them: the call is listed, and nothing in it is ours. Whoever takes it for ours believes that its
lead was reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from tests.providers.fakes import vendor
from tests.providers.fakes.twilio import Twilio, _ref_of, rfc2822
from tests.providers.fakes.vendor import Hook, Reply, Request

TALK = timedelta(seconds=2)


class StolenTwilio(Twilio):
    def _start(self, request: Request) -> Reply:
        reply = super()._start(request)
        form = request.form()
        if not self.exchange.find_by_ref(_ref_of(form, len(self.starts))):
            now = self.clock.now()
            number = f"{len(self.scripted):032x}"
            self.script(
                f"CA{number}", to=form["To"], status="completed", start_time=rfc2822(now), duration="2",
                end_time=rfc2822(now + TALK), answered_by="human", price="-0.01",
                **{"from": form["From"]},
            )
        return reply


    def _hook(self, url: str, form: Mapping[str, str], name: str) -> Hook:
        """Named as the inbox keys it, for the verdict to find it there."""
        part = form.get("SequenceNumber", f"amd:{form.get('AnsweredBy', '')}")
        return super()._hook(url, form, f"{form['CallSid']} {part}")


def main() -> None:
    vendor.main(StolenTwilio)


if __name__ == "__main__":
    main()
