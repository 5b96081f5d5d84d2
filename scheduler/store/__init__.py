"""Every SQL statement, and nothing else.

`now` is an argument of every function here; nothing reads a clock but `database.DatabaseClock`. One
function is one statement or one short transaction; results are frozen values. The tables are the
authority on what was promised: unique indexes make two open rows per lead, two open attempts per
phone and two per row impossible, whatever the code does.
"""
