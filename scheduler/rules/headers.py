"""The header of a file of leads: which column is what, by recognised names or by what people said.

Pure. What must stay true: columns that could mean two things are refused, because the guess would ring a
stranger; a column that means nothing to the scheduler goes to the voice agent as a variable.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scheduler.errors import InvalidValue

MOST_PHONES = 9
MOST_COLUMNS = 1000
"""Of a file. Every row is read column by column, so a header of a hundred thousand would keep a server busy."""
LONGEST_NAME = 200
"""Characters of a header that are looked at for what it means."""
MOST_SHOWN = 12
"""Headers in a sentence."""

REJECT_COLUMNS = ("line", "field", "value", "reason")
"""The first columns of a rejects file. A mended one may be imported as it is: they are passed over."""

_NAMES = {
    "first_name": "nombre nombres nombrecompleto nombreyapellido nombreyapellidos name firstname givenname fullname",
    "last_name": "apellidos apellido lastname surname familyname",
    "phone": "telefono phone tel celular movil mobile fono cel cell cellphone phonenumber mobilephone telephone "
    "numerodetelefono telefonomovil telefonocelular whatsapp tlf telf tfno tlfno tfn tlfn telef tonumber fonomovil "
    "fonocelular telmovil telcelular tlfmovil tfnomovil telfmovil numerotelefono numerotelefonico numerocelular "
    "numeromovil numerodecelular mobilenumber mobilephonenumber cellnumber cellphonenumber telephonenumber phoneno "
    "telno msisdn",
    "email": "email correo mail correoelectronico emailaddress",
    "time_zone": "zonahoraria timezone",
    "region": "region",
    "priority": "prioridad priority",
    "call_until": "fechalimite deadline calluntil",
    "call_at": "programar scheduledat callat",
}
_MEANINGS = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}
_PHONE_COLUMN = re.compile(rf"(?:{_NAMES['phone'].replace(' ', '|')})([1-9])?")
# "N° Teléfono", "Nro. celular", "Tel. celular", "Teléfono de contacto", "Telefono principal", "Contact number 2"
_DRESSED_PHONE = re.compile(
    rf"(?:n|no|nro|num|numero|tel|contact)?(?:de)?(?:{_NAMES['phone'].replace(' ', '|')}|telefonico)"
    r"(?:de)?(?:contacto|principal|cliente|titular|deudor|number)?([1-9])?|contactnumber|numero(?:de)?contacto|numero"
)
_PHONE_WORD = "(?:telefono|telephone|telefonico|phone|fono|tel|telf|telef|tlf|tlfno|tfno|tfn|numero|number)"
_BESIDE = {
    "fixed": re.compile(
        rf"(?:{_PHONE_WORD}(?:de)?fijo|redfija|landline(?:{_PHONE_WORD})*|fixed{_PHONE_WORD}+)([1-9])?"
    ),
    "home": re.compile(
        rf"(?:(?:telefono|fono|tel|telf|tlf|tfno)(?:de)?(?:la|su)?(?:casa|particular|domicilio|hogar|residencia)"
        rf"|home{_PHONE_WORD}+)([1-9])?"
    ),
    "work": re.compile(
        rf"(?:(?:telefono|fono|tel|telf|tlf|tfno|celular|movil)(?:de)?(?:l|el|la|su)?"
        rf"(?:trabajo|laboral|oficina|empresa|comercial)|(?:work|office|business|company){_PHONE_WORD}+)([1-9])?"
    ),
    "other": re.compile(
        rf"(?:(?:telefono|fono|tel|telf|tlf|tfno|celular|movil)(?:alternativo|secundario|adicional|opcional|otro)"
        rf"|otro(?:telefono|fono|tel|celular|movil|numero)|(?:other|alternative|alternate|secondary){_PHONE_WORD}+)"
        rf"([1-9])?"
    ),
}
"""Phones of the same person that have a place of their own, so they may stand beside a plain one."""
_FIXED = re.compile(r"fijo[1-9]?")
"""A phone where another column is one; by itself it may be anything that does not change."""
_VARIABLE = "variable:"
FIELDS = ("phone", "phone2", *(name for name in _NAMES if name != "phone"), f"{_VARIABLE}NAME")
"""What a column may be mapped to, for people."""


@dataclass(frozen=True)
class Columns:
    """Where each thing stands in a row: positions counted from 0, `None` for a column that is absent.

    `phones` are in dialing order. `variables` are the columns that mean nothing to the scheduler: they go
    to the voice agent under the names in `variable_names`.
    """

    headers: tuple[str, ...]
    phones: tuple[int, ...]
    variables: tuple[int, ...]
    is_rejects_file: bool = False
    variable_names: tuple[str, ...] = ()
    first_name: int | None = None
    last_name: int | None = None
    email: int | None = None
    time_zone: int | None = None
    region: int | None = None
    priority: int | None = None
    call_until: int | None = None
    call_at: int | None = None

    def find(self, name: str) -> int | None:
        """Where the value stands that an agent knows by this name: a variable, or a field of the lead."""
        if name in self.variable_names:
            return self.variables[self.variable_names.index(name)]
        meaning = _MEANINGS.get(plain(name))
        return getattr(self, meaning) if meaning and meaning != "phone" else None


class Mapped(NamedTuple):
    """What somebody said of a column: the header as they wrote it, and its meaning."""

    header: str
    meaning: str


@dataclass(frozen=True)
class HeaderWishes:
    """What people said of columns, which goes before what their names say; and the variables that are needed."""

    mapped: tuple[Mapped, ...] = ()
    required: tuple[str, ...] = ()
    header_row: int | None = None
    """The row, or line of a CSV, that people said is the header."""


NO_WISHES = HeaderWishes()


def read_map(options: Sequence[str]) -> tuple[Mapped, ...]:
    """Options like `phone=Celular` or `variable:debt=Monto`. Raises InvalidValue."""
    found: dict[str, Mapped] = {}
    for option in options:
        field, equals, header = (part.strip() for part in option.partition("="))
        if not equals or not field or not plain(header):
            raise InvalidValue("map", option, 'write FIELD=HEADER, such as phone="Celular" or variable:debt="Monto"')
        meaning = _mapped_meaning(field)
        if meaning is None:
            raise InvalidValue("map", option, f"there is no field {field}; the fields are {', '.join(FIELDS)}")
        if meaning in found:
            raise InvalidValue("map", option, f"{field} is mapped to {found[meaning].header} already")
        found[meaning] = Mapped(header, meaning)
    headers = [plain(one.header) for one in found.values()]
    for one in found.values():
        if headers.count(plain(one.header)) > 1:
            raise InvalidValue("map", one.header, "this column is mapped twice; one column is one field")
    return tuple(found.values())


def _mapped_meaning(field: str) -> str | None:
    if field.startswith(_VARIABLE):
        return field if field[len(_VARIABLE) :].strip() else None
    return field if field in _NAMES and field != "phone" else _meaning(plain(field))


def read_header(cells: Sequence[str], wishes: HeaderWishes = NO_WISHES) -> Columns:
    """Recognise the columns. Raises InvalidValue naming what was found and what would be right."""
    headers = tuple(cell.strip().removeprefix("\ufeff").strip() for cell in cells)
    is_rejects_file = headers[: len(REJECT_COLUMNS)] == REJECT_COLUMNS
    skipped = len(REJECT_COLUMNS) if is_rejects_file else 0
    check_width(len(headers))
    mapped = _find_mapped(headers, wishes)
    mapped |= _find_dressed(headers[skipped:], mapped)
    mapped |= _find_beside(headers[skipped:], mapped, wishes)
    taken = set(mapped.values())
    found: dict[str, int] = {}
    for at in range(skipped, len(headers)):
        name = plain(headers[at])
        if not name:
            raise InvalidValue("header", _some(headers), f"column {at + 1} has no name; name it or remove it")
        meaning = mapped.get(name) or _recognise(headers[at], name, taken, wishes)
        before = found.get(_key(meaning))
        if before is not None:
            raise InvalidValue("header", _some([headers[before], headers[at]]), _two_alike(meaning))
        found[_key(meaning)] = at
        if meaning.startswith(_VARIABLE):
            mapped[name] = meaning
            taken.add(meaning)
    names = {at: mapped[plain(headers[at])] for key, at in found.items() if key.startswith(_VARIABLE)}
    variables = tuple(sorted(names))
    if "phone1" not in found:
        raise InvalidValue("header", _some(headers), _no_phone(headers, found, variables))
    phones = tuple(
        found[meaning] for meaning in (f"phone{n}" for n in range(1, MOST_PHONES + 1)) if meaning in found
    )
    singles = {meaning: at for meaning, at in found.items() if meaning in _NAMES}
    return Columns(
        headers, phones, variables, is_rejects_file,
        tuple(names[at].removeprefix(_VARIABLE).strip() for at in variables), **singles,
    )


def is_name(cell: str) -> bool:
    """Is there anything in this cell of a header that can name a column?"""
    return bool(plain(cell))


def names_a_phone(cells: Sequence[str], wishes: HeaderWishes = NO_WISHES) -> bool:
    """Does this row look like a header? So the real one is found below titles."""
    return rank_header(cells, wishes) is not None


def rank_header(cells: Sequence[str], wishes: HeaderWishes = NO_WISHES) -> tuple[int, int] | None:
    """How good a header this row is, to be compared with others: names that are recognised, and names. None for a
    row that is none: it names no phone, or it holds what only a row of data has, such as a number.
    """
    if len(cells) > MOST_COLUMNS or any(map(_is_value, cells)):
        return None
    names = {plain(cell) for cell in cells if cell} - {""}
    said = {plain(one.header) for one in wishes.mapped}
    phones = {plain(one.header) for one in wishes.mapped if one.meaning.startswith("phone")}
    if not any(name in phones or _is_phone(name) for name in names):
        return None
    known = sum(
        name in said or name in _MEANINGS or bool(_FIXED.fullmatch(name)) or _is_phone(name) for name in names
    )
    return known, len(names)


class HeaderRow(NamedTuple):
    """Where the header stands, and its names by column counted from 0."""

    number: int
    cells: Mapping[int, str]


def find_header(rows: Sequence[HeaderRow], wishes: HeaderWishes = NO_WISHES) -> HeaderRow | None:
    """The row that names the columns, among the first rows of a file: the first that names a phone, or a better one
    next to it. What such a row leaves open is named by the row above it, as cells that are merged over both are.
    """
    best: tuple[tuple[int, int], HeaderRow] | None = None
    for at, (number, cells) in enumerate(rows):
        if wishes.header_row is not None:
            if number == wishes.header_row:
                return HeaderRow(number, cells)
            continue
        before = rows[at - 1] if at else None
        if best is not None and before is not None and before.number != best[1].number:
            break
        if rank_header(list(cells.values()), wishes) is None:
            if best is not None:
                break
            continue
        whole = dict(cells)
        is_above = before is not None and before.number == number - 1 and len(before.cells) > 1
        if before is not None and is_above and not any(map(_is_value, before.cells.values())):
            whole = {**before.cells, **(best[1].cells if best else {}), **cells}
        rank = rank_header(list(whole.values()), wishes)
        if rank is not None and (best is None or rank > best[0]):
            best = rank, HeaderRow(number, whole)
    return best[1] if best else None


def check_width(columns: int) -> None:
    """Raises InvalidValue for a header, or row, that no file of leads has."""
    if columns > MOST_COLUMNS:
        right = f"a file has at most {MOST_COLUMNS:,} columns; remove those that nobody needs"
        raise InvalidValue("header", f"{columns:,} columns", right)


def _is_phone(name: str) -> bool:
    return bool(
        _PHONE_COLUMN.fullmatch(name) or _DRESSED_PHONE.fullmatch(name)
        or any(one.fullmatch(name) for one in _BESIDE.values())
    )


def _is_value(cell: str) -> bool:
    """A phone number or an address of mail: it stands in rows, and in no header. A name may have a date in it, as in
    "Saldo al 31/12/2026".
    """
    text = _DATE.sub("", cell[:LONGEST_NAME])
    digits = sum(map(str.isdigit, text))
    return (digits >= _DIGITS_OF_A_VALUE and 2 * sum(map(str.isalpha, text)) < digits) or ("@" in cell and "." in cell)


_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:T[0-9:.]*)?")
_DIGITS_OF_A_VALUE = 7


def _find_mapped(headers: Sequence[str], wishes: HeaderWishes) -> dict[str, str]:
    """The meaning of each mapped column, by its plain name."""
    there = {plain(header) for header in headers}
    for one in wishes.mapped:
        if plain(one.header) not in there:
            raise InvalidValue("map", one.header, f"there is no such column; the columns are {_some(headers)}")
    return {plain(one.header): one.meaning for one in wishes.mapped}


def _recognise(header: str, name: str, taken: Collection[str], wishes: HeaderWishes) -> str:
    """What a column means by its name: a variable, unless that meaning was given to no other column."""
    meaning = _meaning(name)
    if meaning is not None and meaning not in taken:
        return meaning
    needed = next((one for one in wishes.required if plain(one) == name), None)
    return f"{_VARIABLE}{needed or header}"


def _key(meaning: str) -> str:
    """Two columns with one key are alike."""
    return f"{_VARIABLE}{plain(meaning[len(_VARIABLE) :])}" if meaning.startswith(_VARIABLE) else meaning


def plain(header: str) -> str:
    """A header without accents, case, spaces and underscores: "Fecha Límite" and "fecha_limite" are one name."""
    letters = unicodedata.normalize("NFKD", header[:LONGEST_NAME].casefold())
    return "".join(letter for letter in letters if letter.isalnum() and not unicodedata.combining(letter))


def _meaning(name: str) -> str | None:
    if phone := _PHONE_COLUMN.fullmatch(name):
        return f"phone{phone[1] or 1}"
    return _MEANINGS.get(name)


def _find_dressed(headers: Sequence[str], mapped: Mapping[str, str]) -> dict[str, str]:
    """Phones with other words around them, by their plain names: looked for only where no column is plainly one."""
    names = [plain(header) for header in headers]
    if any(_PHONE_COLUMN.fullmatch(name) for name in names) or any(one.startswith("phone") for one in mapped.values()):
        return {}
    return {name: f"phone{phone[1] or 1}" for name in names if (phone := _DRESSED_PHONE.fullmatch(name)) is not None}


def _find_beside(headers: Sequence[str], mapped: Mapping[str, str], wishes: HeaderWishes) -> dict[str, str]:
    """Phones of another kind, such as a fixed one: dialed after those that are plainly numbered, in the file's order.

    What people mapped goes before all: where they named phones, nothing is added to these.
    """
    if any(one.meaning.startswith("phone") for one in wishes.mapped):
        return {}
    names = [plain(header) for header in headers]
    taken = {int(meaning[5:]) for meaning in mapped.values() if meaning.startswith("phone")}
    taken |= {int(phone[1] or 1) for name in names if (phone := _PHONE_COLUMN.fullmatch(name))}
    beside = [name for name in names if any(one.fullmatch(name) for one in _BESIDE.values())]
    if taken or beside:
        beside += [name for name in names if _FIXED.fullmatch(name)]
    places = (n for n in range(1, MOST_PHONES + 1) if n not in taken)
    ordered = sorted(dict.fromkeys(beside), key=names.index)
    return {name: f"phone{place}" for name, place in zip(ordered, places, strict=False)}


def _two_alike(meaning: str) -> str:
    if meaning.startswith(_VARIABLE):
        return "two columns have this name; rename one of them"
    if meaning.startswith("phone"):
        return (
            "these columns mean the same phone; name the further ones telefono2, telefono3 and so on, or say which is "
            "which: --map phone=HEADER --map phone2=HEADER"
        )
    return "these columns mean the same; keep one of them, or say which with --map"


def _no_phone(headers: Sequence[str], found: Mapping[str, int], variables: Sequence[int]) -> str:
    right = (
        "a column telefono (or phone, tel, celular, movil, mobile) is needed, and telefono2 ... for further ones; or "
        "say which it is with --map phone=HEADER"
    )
    if any(sum(map(str.isdigit, header)) >= 7 for header in headers):
        return f"the first line must name the columns, like nombre,telefono; this one looks like a lead ({right})"
    if further := [meaning for meaning in found if meaning.startswith("phone")]:
        return f"{right}; found number {further[0][-1]} but no first one"
    names = _NAMES["phone"].split()
    found_names = [plain(headers[at]) for at in variables[:50] if len(headers[at]) <= LONGEST_NAME]
    near = [name for name in found_names if difflib.get_close_matches(name, names, n=1, cutoff=0.7)]
    return f"{right}; is {near[0]} meant?" if near else right


def _some(headers: Sequence[str]) -> str:
    """Headers in a sentence, not all of very many."""
    shown = [one if len(one) <= 40 else f"{one[:39]}…" for one in headers[:MOST_SHOWN]]
    return ", ".join(shown) + (f" and {len(headers) - MOST_SHOWN} more" if len(headers) > MOST_SHOWN else "")
