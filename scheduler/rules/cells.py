"""Cells as spreadsheets have them: errors in place of values, and texts that they would take for formulas."""

from __future__ import annotations

NEVER_CALCULATED = "#FORMULA!"
"""Stands for a formula that a program wrote and no spreadsheet has calculated yet."""

_BROKEN = (
    "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#GETTING_DATA", "#FIELD!",
    "#BLOCKED!", "#CONNECT!", "#BUSY!", "#UNKNOWN!",
    "#N/D", "#¡REF!", "#¡VALOR!", "#¡DIV/0!", "#¿NOMBRE?", "#¡NULO!", "#¡NUM!",
)  # fmt: skip
ERROR_CELLS = {
    **dict.fromkeys(_BROKEN, "a formula of the spreadsheet failed; mend it"),
    NEVER_CALCULATED: "it holds a formula that was never calculated; open the file in a spreadsheet and save it",
}
"""What stands in a cell in place of a value, with what to do about it."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutralise(cell: str) -> str:
    """A cell that a spreadsheet cannot take for a formula."""
    return "'" + cell if cell.startswith(_FORMULA_STARTS) else cell


def restore(cell: str) -> str:
    """Undo `neutralise`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell


class NumberCell(str):
    """A cell that is a number for the spreadsheet, written with a point before its decimals: nothing in it is to be
    guessed, as it is in a text that looks like a number.
    """

    __slots__ = ()


class RepeatedCell(str):
    """A cell that is merged with the one above it: what stands there belongs to this row too, and counts once."""

    __slots__ = ()
