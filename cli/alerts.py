"""`ringback alerts`: what somebody should look at now."""

from __future__ import annotations

import click

from cli import Program, output


@click.command()
@output.json_option
@click.pass_context
def alerts(ctx: click.Context, as_json: bool) -> None:
    """Say what somebody should look at now. Exit code 1 when anything is raised, 0 when all is well.

    \b
    pending_high      more calls are due than alert_pending_above, while lines are idle
    live_too_long     a call is live beyond its ring time-out, its maximum duration and 30 seconds
    success_low       fewer percent than alert_success_below of the last 24 hours' calls ended completed; of one
                      campaign with at least 20 calls, or of all together (0: never)
    stopped_with_due  a paused campaign, or held calls, due for longer than alert_due_minutes; calls that people
                      hold (manual, suspended) only where their campaign has no others left
    settings_invalid  a row of scheduler_config or the call_settings of a campaign cannot be used
    entry_unreadable  an entry of the do-not-call list is no number; calls to what it could mean are held
    breaker_open      a provider fails and is left alone for a while
    provider_impaired a provider is called over, but something of it is away: its events, its call records
    balance_low       less than low_balance of the account, or than alert_balance_below, is left; or due calls
                      wait because it pays for none
    second_call       a provider told of a second call for one request of ours
    event_mismatch    what a provider posted of a call disagrees with what is known of it
    daemon_silent     a daemon has said nothing for alert_silent_seconds and did not say that it stops
    no_daemon         calls are due and no daemon takes them
    database_older    the database came back older than it was, and nothing is dialed; see `ringback recovery`
    log_blocked       a daemon goes on, but nobody reads its log, or it cannot be written
    clock_back        the database's clock went back, so that waits and limits last longer
    late_dial         a call of the last 24 hours left after its time, because its daemon was stopped at that instant
    undecided         nobody can say for longer than alert_due_minutes whether a dial became a call
    name_hangs        looking up the host of a provider gives no answer on a daemon's machine

    The thresholds are rows of scheduler_config; `ringback config set` changes them. A daemon shows the same as
    the metric ringback_alert{code}, 1 while raised. A problem keeps calls from being made, or makes them wrongly;
    a warning will, or may.

    \b
    Example:
      ringback alerts || mail -s "Ringback needs somebody" team@example.com
    """
    from scheduler.rules.alerts import codes_raised
    from scheduler.service.alerts import list_alerts

    program: Program = ctx.obj
    with program.working() as runtime:
        found = list_alerts(runtime=runtime)
    if as_json:
        output.show({"ok": not found, "raised": len(found), "codes": codes_raised(found), "alerts": found})
    elif found:
        output.show_table([output.plain(one) for one in found], ("severity", "code", "about", "sentence"))
    else:
        output.tell("no alerts")
    ctx.exit(1 if found else 0)
