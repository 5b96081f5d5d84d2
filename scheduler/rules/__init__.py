"""What is allowed, when, and how often: pure functions.

Nothing here knows a database, the network or the clock: rules and the present instant are arguments,
and the same arguments give the same answer. (Two kinds of data are read from disk, once: the time zone
database and the holiday calendars.) The service asks three times with the same rules: when a call is
planned, when it is claimed, and in the step that dials.

    hours              when a lead may be called; delays; the next allowed instant; reasons for people
    holiday_calendars  which dates are holidays, by calendar and by a team's own list
    caps               how often: caps, spacing and cool-downs over past calls
    cases              a team's own table of cases, run against all of the above

The other modules say in their first line what they decide.

What always holds:

1.  All rules must agree. Another rule, zone, full-day holiday, cap or past call can only make the next
    call later, never earlier; their order is irrelevant.
2.  An answer is allowed when it is asked about again, and no earlier instant was. Instants are moved
    later into hours, never earlier, and not at all when they are allowed already.
3.  Every span is half-open, so two adjoining spans never both claim 17:00.
4.  The wall clock decides, at each instant: a skipped hour never happens, a repeated hour is judged both
    times it occurs.
5.  "Never" is an answer: None, with a reason that names the rule or the zones. Nothing loops on it.
6.  A zone name that the database does not know raises InvalidValue when it is asked about. It is never
    taken for UTC or for another zone, and so it holds the lead back instead of dialing at night.

Authority: the zone database of `hours.tzdata_version()` on offsets, the `holidays` package and the
team's own dates on holidays, the rules as they were given on everything else. Plans that were made from a
wall-clock wish are recomputed when one of these changes; an instant alone does not say what was wished.
"""
