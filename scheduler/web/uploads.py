"""Files that are sent as `multipart/form-data`: streamed to the disk, limited, and gone afterwards.

A dependency made by `uploads(...)` reads the body once the caller is known, so nobody without a right to ask fills
a disk. What must stay true: the file is never whole in memory; the name that people gave it is a label and no path;
what is broken, too large or not asked for is refused with one sentence, and every exit removes the file. A newcomer
would declare the parts as arguments: the framework then reads the body before it asks who is calling.

A field that breaks what the document says of it is refused with 422. What the document cannot say, because it lies
in the file or in what is there already, is 409, as everywhere under `/api/v1` (`judging`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import phonenumbers
from fastapi import Depends, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from scheduler.errors import InvalidValue, NotAllowed
from scheduler.service.idempotency import Standing
from scheduler.service.imports import READINGS, ImportReport
from scheduler.service.sources import LAST_HEADER_ROW
from scheduler.web.access import Caller
from scheduler.web.idempotency import HEADER, keys_of, read_key, said_before, to_keep
from scheduler.web.problems import Refusal, problem_of, refuse_packed, responses

LARGEST_FILE = 64 * 2**20
LARGEST_FIELD = 256 * 2**10
LARGEST_BODY = LARGEST_FILE + 4 * 2**20
"""The file, its fields and what stands between them."""
MOST_FIELDS = 40
LONGEST_READ_SECONDS = 600.0
LONGEST_NAME = 100
FILE = "file"
YES, NO = ("true", "yes", "on", "1", "si", "sí"), ("false", "no", "off", "0")
MOST_COLUMNS, LONGEST_COLUMN = 20, 300
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1")
DELIMITERS = (",", ";", "\t", "|", "comma", "semicolon", "tab", "pipe")
FILE_ERRORS = responses(400, 401, 403, 404, 408, 409, 413, 415, 422)
TAKES_KEY = [Depends(read_key)]
"""Dependencies of an endpoint that answers through `done_once`."""


@dataclass
class Upload:
    """`path` is the file for as long as the request lasts, `name` what its sender calls it; `fields` are texts."""

    path: Path
    name: str
    fields: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_kept: bool = False

    def keep(self) -> None:
        """Somebody else calls `remove` when they are done."""
        self.is_kept = True

    def remove(self) -> None:
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def text(self, name: str, *, most: int) -> str | None:
        """None for a field that was not sent, or was left empty."""
        text = self.fields.get(name, "").strip()
        if len(text) > most:
            raise InvalidValue(name, f"{text[:40]}...", f"write at most {most} characters")
        return text or None

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        text = self.text(name, most=LARGEST_FIELD)
        if text is None:
            return None
        bare = text.removeprefix("-")
        if not (bare.isascii() and bare.isdigit() and len(bare) < 19 and least <= int(text) <= most):
            raise InvalidValue(name, text[:40], f"write a whole number from {least} to {most}")
        return int(text)

    def flag(self, name: str, *, otherwise: bool = False) -> bool:
        return read_flag(name, self.text(name, most=LARGEST_FIELD), otherwise=otherwise)


def read_flag(name: str, text: str | None, *, otherwise: bool = False) -> bool:
    if text is None:
        return otherwise
    if text.lower() not in YES + NO:
        raise InvalidValue(name, text[:40], "write true or false")
    return text.lower() in YES


def read_json_object(name: str, text: str) -> dict[str, Any]:
    """A JSON object out of a text field, with each name once. Raises InvalidValue."""

    def refuse_constant(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name is there twice")
        return found

    right = 'it must be a JSON object, like {"max_attempts": 3}'
    try:
        found = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=without_twins)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else "it is not JSON"
        raise InvalidValue(name, text[:40], f"{why}; {right}") from None
    if not isinstance(found, dict):
        raise InvalidValue(name, text[:40], right)
    return found


Reading = Callable[[Request], AsyncGenerator[Upload, None]]


def uploads(*fields: str, lists: Sequence[str] = ()) -> Reading:
    """A dependency that gives the `Upload` of a request with a part `file` and some of these text fields.

    `lists` are fields that may be sent several times. It comes after the caller among an endpoint's arguments.
    """

    async def read(request: Request) -> AsyncGenerator[Upload, None]:
        folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="ringback-upload-"))
        upload = Upload(folder / "upload", "")
        try:
            form = await _parse_in_time(request)
            try:
                await run_in_threadpool(_take, form, upload, fields, lists)
            finally:
                await form.close()
            yield upload
        finally:
            if not upload.is_kept:
                await run_in_threadpool(upload.remove)

    return read


async def _parse_in_time(request: Request) -> FormData:
    try:
        async with asyncio.timeout(LONGEST_READ_SECONDS):
            return await _parse(request)
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "the file did not arrive in time") from None


async def _parse(request: Request) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send multipart/form-data with the file in a part named file")
    refuse_packed(request)
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 18 or int(length) > LARGEST_BODY):
        raise _too_large()
    parser = _Parser(
        request.headers, _limited(request), max_files=1, max_fields=MOST_FIELDS, max_part_size=LARGEST_FIELD
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _refusal_of(error) from None
    except ClientDisconnect:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the file did not arrive whole") from None
    except (ValueError, LookupError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the multipart body is broken") from None
    if not parser.is_whole:
        await form.close()
        raise Refusal(HTTPStatus.BAD_REQUEST, "the multipart body ends before its last boundary")
    return form


class _Parser(MultiPartParser):
    """Knows whether it saw the end: a body that was cut may look like one with fewer parts."""

    is_whole = False

    def on_end(self) -> None:
        self.is_whole = True


async def _limited(request: Request) -> AsyncGenerator[bytes, None]:
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > LARGEST_BODY:
            raise _too_large()
        yield chunk


def _refusal_of(error: MultiPartException) -> Refusal:
    """In our words: what is too much is 413, what is broken 400."""
    if error.message.startswith("Part exceeded"):
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a text field has at most {LARGEST_FIELD // 2**10} KiB"
        )
    if error.message.startswith("Too many files"):
        return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "send one file, in the part named file")
    if error.message.startswith("Too many fields"):
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MOST_FIELDS} fields")
    if "boundary" in error.message:
        return Refusal(HTTPStatus.BAD_REQUEST, "the Content-Type names no boundary between the parts")
    return Refusal(HTTPStatus.BAD_REQUEST, "the multipart body is broken")


def _too_large() -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a file has at most {LARGEST_FILE // 2**20} MiB")


def _take(form: FormData, upload: Upload, fields: Sequence[str], lists: Sequence[str]) -> None:
    """Sort the parts into `upload`, and the file into its place."""
    texts: dict[str, list[str]] = {}
    file: UploadFile | None = None
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            if name != FILE:
                known = f"{name} is a text" if name in (*fields, *lists) else "the part is named file"
                raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"send one file, in the part named file; {known}")
            file = part
            continue
        if name == FILE:
            right = "send it as a file with a name, such as curl -F file=@leads.xlsx"
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"file: it is a text; {right}")
        if name not in (*fields, *lists):
            right = f"there is no such field; the fields are {', '.join((FILE, *fields, *lists))}"
            raise InvalidValue(name[:40], part[:40], right)
        texts.setdefault(name, []).append(part)
    for name, given in texts.items():
        if len(given) > 1 and name not in lists:
            raise InvalidValue(name, given[-1][:40], "it was sent twice")
        if "\0" in "".join(given):
            raise InvalidValue(name, given[0][:40], "it holds a zero byte")
    if file is None:
        raise InvalidValue(FILE, "", "send a file in the part named file")
    if not file.filename:
        raise InvalidValue(FILE, "", "no file was chosen")
    if not file.size:
        raise Refusal(HTTPStatus.CONFLICT, f"{label_of(file.filename)} is empty; save it again and send it")
    if file.size > LARGEST_FILE:
        raise _too_large()
    upload.name = label_of(file.filename)
    # Its reader looks at the ending of the name, and at nothing else of it.
    ending = Path(upload.name).suffix.lower()
    upload.path = upload.path.with_suffix(ending if ending in (".xlsx", ".xlsm", ".csv") else ".csv")
    with upload.path.open("wb") as copy:
        shutil.copyfileobj(file.file, copy, 2**20)
    upload.fields = {name: given[0] for name, given in texts.items() if name not in lists}
    upload.lists = {name: [one for one in given if one.strip()] for name, given in texts.items() if name in lists}


def label_of(file_name: str | None) -> str:
    """What a file is called towards people: no folders, nothing that is not shown, not too long."""
    base = (file_name or "").replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(letter if letter.isprintable() else " " for letter in base).strip(" .") or "file"
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 12]}…{shown[-11:]}"


# --- how a file is to be read ---------------------------------------------------------------------

LINE = {"type": "string", "pattern": r"^[^\x00]*$"}
READING: dict[str, dict[str, Any]] = {
    "default_country": {
        "type": "string", "enum": sorted(phonenumbers.SUPPORTED_REGIONS), "description": "Of numbers without +",
    },
    "sheet": {**LINE, "maxLength": 255, "description": "Of an .xlsx file; else the first visible one with phones"},
    "encoding": {"type": "string", "enum": list(ENCODINGS), "description": "Of a CSV; else it is recognised"},
    "delimiter": {"type": "string", "enum": list(DELIMITERS), "description": "Of a CSV; else it is recognised"},
    "header_row": {
        "type": "integer", "minimum": 1, "maximum": LAST_HEADER_ROW,
        "description": "Row, or line of a CSV, that names the columns; else it is found",
    },
    "hidden_rows": {
        "type": "string", "enum": list(READINGS["hidden_rows"]),
        "description": "Rows of an .xlsx file that are hidden, as by a filter; else they are skipped",
    },
    "date_order": {
        "type": "string", "enum": list(READINGS["date_order"]),
        "description": "What 03/04/2027 means; else the column's other dates tell",
    },
    "decimal_mark": {
        "type": "string", "enum": list(READINGS["decimal_mark"]),
        "description": "What 1.500 means in amounts that are added up; else the column's other amounts tell",
    },
    "joined_numbers": {
        "type": "string", "enum": list(READINGS["joined_numbers"]),
        "description": "Cells with several phone numbers; else they are split",
    },
}
MAP = {"map": {
    "type": "array", "maxItems": MOST_COLUMNS, "items": {**LINE, "maxLength": LONGEST_COLUMN},
    "description": "What columns mean, like phone=Celular or variable:debt=Monto",
}}


def read_options(upload: Upload, default_country: str) -> dict[str, Any]:
    """How a file is to be read, for `import_leads`. Raises InvalidValue for what the document does not allow."""
    columns = upload.lists.get("map", ())
    if len(columns) > MOST_COLUMNS or any(len(one) > LONGEST_COLUMN for one in columns):
        raise InvalidValue("map", "...", f"send at most {MOST_COLUMNS}, of at most {LONGEST_COLUMN} characters each")
    # Not stripped: the delimiter may be a tab.
    delimiter = upload.fields.get("delimiter") or None
    return {
        "default_country": _one_of("default_country", upload, READING["default_country"]["enum"]) or default_country,
        "sheet": upload.text("sheet", most=255), "encoding": _one_of("encoding", upload, ENCODINGS),
        "delimiter": delimiter if delimiter is None else _known("delimiter", delimiter, DELIMITERS),
        "column_map": tuple(columns), "header_row": upload.whole("header_row", least=1, most=LAST_HEADER_ROW),
        **{name: _one_of(name, upload, words) for name, words in READINGS.items()},
    }


def _one_of(name: str, upload: Upload, known: Sequence[str]) -> str | None:
    text = upload.text(name, most=LARGEST_FIELD)
    return None if text is None else _known(name, text, known)


def _known(name: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        shown = ", ".join(known) if len(known) < 20 else "two ISO letters of a country, such as CL"
        raise InvalidValue(name, text[:40], f"write {shown}")
    return text


def describe_form(
    fields: Mapping[str, Mapping[str, Any]], *, required: Sequence[str] = ()
) -> dict[str, Any]:
    """What OpenAPI says of such a body (`openapi_extra`): `fields` are schemas of the texts by name."""
    file = {"type": "string", "format": "binary", "description": f"CSV or .xlsx, at most {LARGEST_FILE // 2**20} MiB"}
    schema = {
        "type": "object", "properties": {FILE: file, **fields}, "required": [FILE, *required],
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


# --- what is answered -----------------------------------------------------------------------------


class RejectedRow(BaseModel):
    """A row of a file that made no lead, or (`verdict` good) one that did without this value."""

    line: int
    field: str
    value: str
    reason: str
    verdict: str


class AssumedOfFile(BaseModel):
    """What was decided of a file that its sender had not said, and why. `option` is the field that says it otherwise,
    if there is one; `is_plain`: it could hardly be otherwise.
    """

    what: str
    value: str
    because: str
    option: str
    is_plain: bool


def assumptions_of(report: ImportReport) -> list[dict[str, Any]]:
    """As `AssumedOfFile` has them."""
    return [one._asdict() for one in report.assumptions]


def rejects_of(report: ImportReport) -> list[dict[str, Any]]:
    """As `RejectedRow` has them."""
    return [
        {"line": one.line, "field": one.field, "value": one.value, "reason": one.reason, "verdict": one.verdict.value}
        for one in report.first_rejects
    ]


@contextlib.contextmanager
def judging() -> Iterator[None]:
    """What is refused within is no fault of the request's form. Raises Refusal (409)."""
    try:
        yield
    except NotAllowed:
        raise
    except InvalidValue as error:
        raise Refusal(HTTPStatus.CONFLICT, str(error)) from None


def done_once(request: Request, caller: Caller, upload: Upload, work: Callable[[], Response]) -> Response:
    """`work`, which does the same request under the same `Idempotency-Key` once.

    The route cannot do this by itself as others do: it would have the whole file in memory.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return work()
    keys = keys_of(request)
    claim = keys.claim(caller.identity, key, _fingerprint(request, upload))
    if claim.standing is not Standing.OURS:
        return said_before(claim)
    try:
        answer = work()
    except Exception as error:
        answer = problem_of(error)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            keys.forget(claim)
            raise
    kept = to_keep(answer)
    if kept is None:
        keys.forget(claim)
    else:
        keys.keep(claim, answer.status_code, kept)
    return answer


def _fingerprint(request: Request, upload: Upload) -> str:
    fields = [upload.name, sorted(upload.fields.items()), sorted((name, list(of)) for name, of in upload.lists.items())]
    said = json.dumps([request.method, request.scope["path"], request.url.query, fields])
    with upload.path.open("rb") as file:
        return hashlib.sha256(said.encode() + hashlib.file_digest(file, "sha256").digest()).hexdigest()
