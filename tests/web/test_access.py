"""Who may ask over HTTP: open until the first key or user, then keys, sessions, and nothing without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest

from scheduler.clock import ManualClock
from scheduler.errors import Conflict
from scheduler.events import Reporter
from scheduler.service import access, accounts
from scheduler.service.refusals import MOST_AN_HOUR, Refusals
from scheduler.service.runtime import Runtime
from scheduler.service.second_factor import code_at, step_of
from scheduler.store import access as store
from scheduler.store import tables
from scheduler.store.database import Database
from scheduler.web.server import WebServer
from tests.factories import add_campaign, add_lead, events_of, find, find_all, sql, with_settings
from tests.waiting import PLAIN, wait_until

PASSWORD = "three blind mice"
READ, OPERATE, ADMIN = "/api/v1/batches", "/api/v1/batches", "/access"
sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
JSON = "application/problem+json"


# --- open, until somebody is named -------------------------------------------------------------------------------


@sqlite_alone
def test_open_access_serves_everything_to_this_machine_without_a_token(
    client: httpx.Client, runtime: Runtime, database: Database
):
    assert client.get(READ).status_code == 200
    assert client.get(ADMIN).status_code == 200
    made = client.post(OPERATE, json=a_batch(runtime))

    assert made.status_code in (200, 201), made.text
    assert {event.actor for event in events_of(database, "campaign_created")} == {"open"}
    assert "Access is open." in client.get("/access").text


@sqlite_alone
@pytest.mark.parametrize(
    "headers, sentence",
    [
        ({"Host": "rebound.example"}, "only localhost"), ({"Host": "127.0.0.1.rebound.example"}, "only localhost"),
        ({"Host": "192.0.2.1:8000"}, "only localhost"), ({"Host": ""}, "only localhost"),
        ({"X-Forwarded-For": "192.0.2.1"}, "no proxy"), ({"Forwarded": "for=192.0.2.1"}, "no proxy"),
        ({"X-Forwarded-Proto": "https"}, "no proxy"), ({"CF-Connecting-IP": "192.0.2.1"}, "no proxy"),
        ({"Host": "rebound.example@localhost"}, "only localhost"), ({"Host": "localhost/"}, "only localhost"),
        ({"Host": "localhost#rebound.example"}, "only localhost"), ({"Host": "localhost:80:80"}, "only localhost"),
    ],
)  # fmt: skip
def test_open_access_ends_where_another_name_or_a_proxy_is_used(
    client: httpx.Client, headers: dict[str, str], sentence: str
):
    refused = client.get(READ, headers=headers)

    assert (refused.status_code, refused.headers["content-type"]) == (403, JSON)
    assert sentence in refused.json()["detail"]


@sqlite_alone
def test_open_access_takes_changes_from_its_own_pages_alone(client: httpx.Client, runtime: Runtime, served: str):
    own = {"Origin": served, "Sec-Fetch-Site": "same-origin"}
    token = token_of_page(client.get("/access").text)
    body = a_batch(runtime)
    refused = [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "http://evil.example/page"},
        {"Sec-Fetch-Site": "same-site", "Origin": served}, {"Origin": "http://evil.example", "X-CSRF-Token": token},
        own, {**own, "X-CSRF-Token": "0" * 64}, {**own, "X-CSRF-Token": "ñ".encode()},
    ]

    assert [client.post(OPERATE, json=body, headers=one).status_code for one in refused] == [403] * len(refused)
    assert client.post(OPERATE, json=body, headers={**own, "X-CSRF-Token": token}).status_code in (200, 201)


@sqlite_alone
def test_the_first_key_closes_everything_but_what_anybody_may_see(client: httpx.Client, runtime: Runtime):
    key = access.create_key("first", runtime=runtime)
    closed = (READ, "/openapi.json", "/metrics", "/api/v1/nothing", "/api/batches/1/status")
    refused = [client.get(path) for path in closed]

    assert [one.status_code for one in refused] == [401] * len(refused)
    assert {one.headers["www-authenticate"] for one in refused} == {'Bearer realm="ringback"'}
    assert {one.headers["content-type"] for one in refused} == {JSON}
    assert client.post(OPERATE, json={}).status_code == 401
    for path in ("/api/v1/health/live", "/login", "/static/ringback.css"):
        assert client.get(path).status_code == 200, path
    assert client.post("/webhooks/nobody", json={}).status_code == 404
    access.revoke_key(key.prefix, runtime=runtime)
    assert client.get(READ).status_code == 401
    access.forget_key(key.prefix, runtime=runtime)
    assert client.get(READ).status_code == 200


@sqlite_alone
def test_pages_lead_to_the_log_in_and_back(client: httpx.Client, runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    whole = client.get("/leads?search=a&limit=3", headers={"Accept": "text/html"})
    part = client.get("/part", headers={"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1/campaigns/1?x=1"})
    stream = client.get("/live", headers={"Accept": "text/event-stream"})

    assert (whole.status_code, whole.headers["location"]) == (303, "/login?next=%2Fleads%3Fsearch%3Da%26limit%3D3")
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login?next=%2Fcampaigns%2F1%3Fx%3D1")
    assert (stream.status_code, stream.headers["content-type"]) == (401, JSON)
    assert 'name="next" value="/leads?search=a&amp;limit=3"' in client.get(whole.headers["location"]).text
    assert client.post("/campaigns").headers["location"] == "/login"


# --- keys --------------------------------------------------------------------------------------------------------


def test_a_key_works_at_once_in_either_header_until_it_is_revoked(
    client: httpx.Client, runtime: Runtime, database: Database
):
    token = access.create_key("front", runtime=runtime).token
    ways = [{"Authorization": f"Bearer {token}"}, {"Authorization": f"bearer {token}"}, {"X-API-Key": token}]
    assert [client.get(READ, headers=one).status_code for one in ways] == [200, 200, 200]
    wait_until(lambda: find(database, tables.api_keys).last_used_at, what="the use of the key is noted")
    access.revoke_key("front", runtime=runtime)
    refused = [client.get(READ, headers=one) for one in ways]

    assert [one.status_code for one in refused] == [401, 401, 401]
    assert {one.json()["detail"] for one in refused} == {"this API key was revoked"}
    assert refused[0].headers["www-authenticate"] == 'Bearer realm="ringback", error="invalid_token"'


@sqlite_alone
def test_before_the_first_user_a_plain_proxy_lets_nobody_in(runtime: Runtime):
    """`proxy_pass http://127.0.0.1:8000` alone: the host becomes ours, and nothing says that it was passed on."""
    with shut(runtime) as (server, client):
        for headers in ({}, {"Host": f"localhost:{server.port}"}, {"Cookie": "ringback_opened=guess"},
                        {"Authorization": "Basic dTpw"}, {"X-CSRF-Token": "0" * 64}):
            assert client.get(READ, headers=headers).status_code == 401, headers
            assert client.post(OPERATE, json={}, headers=headers).status_code == 401, headers
        for spoofed in ({"X-Forwarded-For": "127.0.0.1"}, {"Host": "evil.example"}, {"X-Forwarded-Host": "localhost"}):
            assert client.get(READ, headers=spoofed).status_code in (401, 403), spoofed
        assert client.get("/", headers={"Accept": "text/html"}).headers["location"] == "/login"
        assert client.get("/openapi.json").status_code == 401


@sqlite_alone
def test_the_link_of_the_terminal_lets_one_browser_in_once(runtime: Runtime):
    with shut(runtime) as (server, client), httpx.Client(base_url=server.url, **PLAIN) as other:
        link = server.page.removeprefix(server.url)
        assert link.startswith("/open?link=")
        assert other.get("/open?link=guess").status_code == 403
        assert other.get(link, headers={"Host": "evil.example"}).status_code == 403
        assert other.get(link, headers={"X-Forwarded-For": "10.1.1.1"}).status_code == 403
        opened = client.get(link)
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        assert {"httponly", "samesite=lax"} <= set(opened.headers["set-cookie"].lower().replace(" ", "").split(";"))
        assert client.get(READ).status_code == 200

        assert other.get(link).status_code == 403
        assert other.get(READ).status_code == 401
        assert client.get(link).status_code == 303  # whoever is in may look at their own link again

        access.create_key("first", runtime=runtime)
        assert client.get(READ).status_code == 401
        assert server.page == server.url


@contextmanager
def shut(runtime: Runtime) -> Iterator[tuple[WebServer, httpx.Client]]:
    """A server as it is started by anybody who switched nothing on."""
    server = WebServer(with_settings(runtime, open_access=False), "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        yield server, client
    server.stop()


@sqlite_alone
def test_a_wrong_key_is_refused_even_while_access_is_open(client: httpx.Client):
    for wrong in ("rb_0123456789ab_" + "x" * 43, "nonsense", "rb_' OR 1=1 --"):
        assert client.get(READ, headers={"Authorization": f"Bearer {wrong}"}).status_code == 401, wrong
    assert client.get(READ, headers={"Authorization": "Basic dTpw"}).status_code == 200


@sqlite_alone
def test_an_expired_key_is_refused(client: httpx.Client, runtime: Runtime, clock: ManualClock):
    key = {"X-API-Key": access.create_key("short", days=2, runtime=runtime).token}
    assert client.get(READ, headers=key).status_code == 200
    clock.advance(timedelta(days=2))

    assert client.get(READ, headers=key).json()["detail"] == "this API key has expired"


@sqlite_alone
@pytest.mark.parametrize(
    "scope, expected", [("read", (200, 403, 403)), ("operate", (200, 422, 403)), ("admin", (200, 422, 200))]
)
def test_a_scope_includes_the_smaller_ones_and_no_more(
    client: httpx.Client, runtime: Runtime, scope: str, expected: tuple[int, int, int]
):
    key = {"X-API-Key": access.create_key("k", scope=scope, runtime=runtime).token, "Origin": "http://front.example"}
    got = (
        client.get(READ, headers=key).status_code, client.post(OPERATE, json={"name": 1}, headers=key).status_code,
        client.get(ADMIN, headers=key).status_code,
    )  # fmt: skip

    assert got == expected


@sqlite_alone
def test_pages_ask_for_the_same_scope_as_their_endpoints(client: httpx.Client, runtime: Runtime):
    headers = {"X-API-Key": access.create_key("k", scope="operate", runtime=runtime).token}
    page, endpoint = (client.post(f"{one}/daemons/1/pause", headers=headers) for one in ("", "/api/v1"))

    assert (page.status_code, endpoint.status_code) == (303, 404), "nobody is there to be steered, and that is all"


@sqlite_alone
def test_a_key_of_one_account_sees_that_account_alone_and_is_never_admin_of_everything(
    client: httpx.Client, runtime: Runtime, database: Database
):
    ours, theirs = (accounts.create_account(name, code=name, runtime=runtime) for name in ("ours", "theirs"))
    ids = {
        code: add_campaign(database, code, account_id=find(database, tables.accounts, code=code).id)
        for code in (ours, theirs)
    }
    key = {"X-API-Key": access.create_key("k", scope="admin", account=ours, runtime=runtime).token}

    assert client.get(f"/api/v1/batches/{ids['ours']}/status", headers=key).status_code == 200
    assert client.get(f"/api/v1/batches/{ids['theirs']}/status", headers=key).status_code == 404
    assert client.get(ADMIN, headers=key).status_code == 403


# --- sessions ----------------------------------------------------------------------------------------------------


def test_a_session_serves_its_user_until_the_user_is_removed(
    client: httpx.Client, runtime: Runtime, database: Database
):
    access.add_user("ana", PASSWORD, role="operator", runtime=runtime)
    done = log_in(client, "Ana")
    assert (done.status_code, done.headers["location"]) == (303, "/")
    cookie = done.headers["set-cookie"]
    assert cookie.startswith("ringback_session=")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "Secure" not in cookie
    assert (client.get(READ).status_code, client.get(ADMIN).status_code) == (200, 403)
    access.remove_user("ana", runtime=runtime)
    access.create_key("left", runtime=runtime)

    refused = client.get(READ)
    assert (refused.status_code, refused.json()["detail"]) == (401, "this session is over; log in again")
    assert client.get("/", headers={"Accept": "text/html"}).headers["location"] == "/login"
    assert find_all(database, tables.sessions) == []


@sqlite_alone
def test_what_comes_with_a_session_needs_its_token_in_header_or_form(
    client: httpx.Client, runtime: Runtime, served: str
):
    access.add_user("ana", PASSWORD, role="admin", runtime=runtime)
    log_in(client, "ana")
    own = {"X-CSRF-Token": token_of_page(client.get(ADMIN).text)}
    forged: list[dict[str, str]] = [
        {}, {"X-CSRF-Token": "f" * 64}, {**own, "Origin": "http://x.example"}, {**own, "Sec-Fetch-Site": "same-site"},
    ]

    assert [client.post(OPERATE, json={"name": 1}, headers=one).status_code for one in forged] == [403] * 4
    assert client.post(OPERATE, json={"name": 1}, headers={**own, "Origin": served}).status_code == 422
    assert client.post("/logout", data={"csrf_token": "f" * 64}).status_code == 403
    assert client.post("/logout", data={"x": "1"}, files={"file": b"x"}).status_code == 403
    left = client.post("/logout", data={"csrf_token": own["X-CSRF-Token"]}, files={"file": b"x"})  # multipart
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert client.get(READ).status_code == 401


@sqlite_alone
def test_a_log_in_gives_a_new_session_and_log_out_ends_it(client: httpx.Client, runtime: Runtime, database: Database):
    access.add_user("ana", PASSWORD, role="admin", runtime=runtime)
    client.cookies.set("ringback_session", "chosen-by-somebody-else", domain="127.0.0.1")
    log_in(client, "ana")
    first = client.cookies.get("ringback_session", domain="127.0.0.1")
    log_in(client, "ana")
    second = client.cookies.get("ringback_session", domain="127.0.0.1")
    with httpx.Client(base_url=client.base_url, cookies={"ringback_session": str(first)}, **PLAIN) as thief:
        assert thief.get(READ).status_code == 401
    client.post("/logout", data={"csrf_token": token_of_page(client.get(ADMIN).text)})

    assert len({"chosen-by-somebody-else", first, second}) == 3
    assert find_all(database, tables.sessions) == []
    assert [event.actor for event in events_of(database, "logged_out")] == ["user:ana"]


@sqlite_alone
@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example", ""]
)
def test_a_log_in_leads_nowhere_else(client: httpx.Client, runtime: Runtime, back: str):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)

    assert log_in(client, "ana", next=back).headers["location"] == "/"


def test_wrong_names_and_passwords_are_answered_alike_and_then_have_to_wait(
    client: httpx.Client, runtime: Runtime, clock: ManualClock
):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    strangers = [log_in(client, "nobody", "wrong") for _ in range(6)]
    known = [log_in(client, "ana", "wrong") for _ in range(6)]

    assert [one.status_code for one in known] == [one.status_code for one in strangers] == [401] * 5 + [429]
    assert known[0].text.replace("ana", "nobody") == strangers[0].text
    assert known[5].headers["retry-after"] == "1"
    assert "Try again in 1 second" in known[5].text
    assert log_in(client, "ana").status_code == 429
    clock.advance(timedelta(seconds=1))
    assert log_in(client, "ana").status_code == 303


@sqlite_alone
def test_a_log_in_from_another_site_is_refused(client: httpx.Client, runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    forged = client.post(
        "/login", data={"name": "ana", "password": PASSWORD}, headers={"Origin": "http://evil.example"}
    )

    assert forged.status_code == 403
    assert "set-cookie" not in forged.headers


@sqlite_alone
def test_what_is_typed_is_escaped_and_the_page_speaks_spanish(client: httpx.Client, runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    page = client.post(
        "/login", data={"name": '"><script>alert(1)</script>', "password": "x", "next": '/"><script>'},
        headers={"Accept-Language": "es"},
    )

    assert "<script>" not in page.text.replace('<script src="/static/', "")
    assert "El nombre, la contraseña o el código no es correcto." in page.text


# --- behind a proxy ----------------------------------------------------------------------------------------------


@pytest.fixture
def public(runtime: Runtime) -> Iterator[httpx.Client]:
    """As a proxy asks that ends TLS for https://calls.example."""
    server = WebServer(
        with_settings(runtime, public_url="https://calls.example"), "127.0.0.1", 0, reporter=Reporter(lambda line: None)
    )
    server.start()
    forwarded = {"Host": "calls.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
    with httpx.Client(base_url=server.url, headers=forwarded, **PLAIN) as made:
        yield made
    server.stop()


@sqlite_alone
def test_over_https_the_cookie_is_secure_and_the_address_is_the_one_that_the_proxy_saw(
    public: httpx.Client, runtime: Runtime, database: Database
):
    access.add_user("ana", PASSWORD, role="admin", runtime=runtime)
    public.headers["Origin"] = "https://calls.example"
    done = log_in(public, "ana")
    cookie = done.headers["set-cookie"]
    token = re.match(r"__Host-ringback_session=([^;]+);", cookie)

    assert token, cookie
    assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/"))
    assert done.headers["strict-transport-security"] == "max-age=31536000"
    assert [event.reason for event in events_of(database, "logged_in")] == ["from 192.0.2.9"]
    assert public.get(READ, headers={"Cookie": f"__Host-ringback_session={token[1]}"}).status_code == 200
    assert public.get(READ, headers={"Cookie": f"ringback_session={token[1]}"}).status_code == 401


@sqlite_alone
def test_without_a_public_url_what_a_proxy_says_is_not_believed(
    client: httpx.Client, runtime: Runtime, database: Database
):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    done = client.post(
        "/login", data={"name": "ana", "password": PASSWORD},
        headers={"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"},
    )

    assert "Secure" not in done.headers["set-cookie"]
    assert [event.reason for event in events_of(database, "logged_in")] == ["from 127.0.0.1"]


# --- where to listen ---------------------------------------------------------------------------------------------


@sqlite_alone
@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_nothing_listens_beyond_this_machine_before_there_is_an_admin(runtime: Runtime, host: str):
    access.create_key("reader", scope="operate", runtime=runtime)
    with pytest.raises(Conflict, match="make an admin first"):
        WebServer(runtime, host, 0)
    access.add_user("ana", PASSWORD, role="admin", runtime=runtime)
    server = WebServer(runtime, host or "0.0.0.0", 0, reporter=Reporter(lambda line: None))
    server.start()
    access.remove_user("ana", runtime=runtime)
    access.revoke_key("reader", runtime=runtime)
    access.forget_key("reader", runtime=runtime)
    local = "[::1]" if host == "::" else "127.0.0.1"

    with httpx.Client(**PLAIN) as client:
        assert client.get(f"http://{local}:{server.port}{READ}").status_code == 401  # nobody is left: not open
    server.stop()


# --- the document ------------------------------------------------------------------------------------------------


@sqlite_alone
def test_the_document_says_what_is_needed_to_ask(client: httpx.Client, runtime: Runtime):
    opened = client.get("/openapi.json").json()
    key = {"X-API-Key": access.create_key("k", runtime=runtime).token}
    closed = client.get("/openapi.json", headers=key).json()

    assert set(closed["components"]["securitySchemes"]) == {"bearer", "header", "session"}
    ways = [{"bearer": []}, {"header": []}, {"session": []}]
    assert closed["paths"]["/api/v1/batches"]["get"]["security"] == ways
    assert opened["paths"]["/api/v1/batches"]["get"]["security"] == [{}, *ways]
    assert {"401", "403", "429", "503", "413"} <= set(closed["paths"]["/api/v1/batches"]["post"]["responses"])
    assert "security" not in closed["paths"]["/api/v1/health/live"]["get"]


# --- what this file needs --------------------------------------------------------------------------------------


def log_in(client: httpx.Client, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password, **more})


def token_of_page(text: str) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', text)
    assert found, text[:2000]
    return found[1]


def a_batch(runtime: Runtime) -> dict[str, str]:
    return {"account_id": accounts.create_account("Acme", runtime=runtime), "name": "Spring"}


# --- what the audit says of it -----------------------------------------------------------------------------------


@sqlite_alone
def test_refused_keys_and_what_nobody_may_are_in_the_audit_and_fill_no_table(
    client: httpx.Client, runtime: Runtime, database: Database
):
    reader = access.create_key("reader", runtime=runtime).token
    gone = access.create_key("gone", runtime=runtime)
    access.revoke_key("gone", runtime=runtime)
    for _ in range(9):
        assert client.get(READ, headers={"X-API-Key": gone.token}).status_code == 401
        assert client.post("/api/v1/campaigns", json={"name": "x"}, headers={"X-API-Key": reader}).status_code == 403
    client.get("/api/v1/leads?search=%2B56912345678", headers={"X-API-Key": "rb_" + "0" * 12 + "_" + "x" * 43})

    def told() -> tuple[list[int], list[int]]:
        of = {kind: events_of(database, kind) for kind in ("key_refused", "not_allowed")}
        assert gone.token[16:] not in repr(of)
        assert "56912345678" not in repr(of)
        return tuple(sorted(one.details["count"] for one in found) for found in of.values())  # type: ignore[return-value]

    wait_until(lambda: told() == ([1, 2, 4, 8], [1, 2, 4, 8]), what="every doubling is told")
    first = events_of(database, "not_allowed")[0]
    assert (first.actor, first.reason) == ("key:reader", "POST /api/v1/campaigns, from 127.0.0.1")
    assert events_of(database, "key_refused")[0].details["prefix"] == gone.prefix


@sqlite_alone
def test_a_flood_of_refusals_writes_so_many_an_hour(runtime: Runtime):
    refusals = Refusals(runtime)
    told = [refusals.count(403, f"key:{n}", "10.0.0.1", None, "GET /") for n in range(MOST_AN_HOUR + 50)]

    assert sum(one is not None for one in told) == MOST_AN_HOUR


@sqlite_alone
def test_files_that_are_taken_out_are_in_the_audit(client: httpx.Client, runtime: Runtime, database: Database):
    add_campaign(database, "autumn")
    assert client.get("/leads/export.csv?campaign=autumn&search=%2B569123").status_code == 200

    (event,) = events_of(database, "exported")
    assert (event.actor, event.reason) == ("open", "leads as CSV")
    assert "569123" not in repr(event)
    assert "campaign=autumn" in event.details["filter"]


# --- one's own password and second factor ------------------------------------------------------------------------


def entered(client: httpx.Client, name: str = "ana", password: str = PASSWORD, code: str = "") -> int:
    client.cookies.clear()
    return client.post("/login", data={"name": name, "password": password, "code": code}).status_code


def posted(client: httpx.Client, what: str, **fields: str) -> httpx.Response:
    return client.post(f"/me/{what}", data={"csrf_token": token_of_page(client.get("/me").text), **fields})


@sqlite_alone
def test_whoever_is_logged_in_changes_their_own_password(client: httpx.Client, runtime: Runtime, served: str):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    with httpx.Client(base_url=served, **PLAIN) as elsewhere:
        assert entered(client) == entered(elsewhere) == 303
        new = PASSWORD + " three"
        assert posted(client, "password", current="wrong", new=new, again=new).status_code == 422
        assert posted(client, "password", current=PASSWORD, new=new, again=new + "!").status_code == 422
        assert posted(client, "password", current=PASSWORD, new="short", again="short").status_code == 422
        assert client.post("/me/password", data={"current": PASSWORD, "new": new, "again": new}).status_code == 403
        assert posted(client, "password", current=PASSWORD, new=new, again=new).status_code == 303

        assert client.get("/me").status_code == 200, "this session goes on"
        assert elsewhere.get("/me", headers={"Accept": "text/html"}).status_code == 303, "the others end"
        assert entered(elsewhere) == 401
        assert entered(elsewhere, password=new) == 303


@sqlite_alone
def test_guesses_at_the_present_password_wait_like_log_ins(client: httpx.Client, runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    assert entered(client) == 303
    answers = [posted(client, "password", current="guess", new=PASSWORD + "!", again=PASSWORD + "!") for _ in range(7)]

    assert [one.status_code for one in answers][-1] == 429


@sqlite_alone
def test_with_a_second_factor_a_password_alone_lets_nobody_in(
    client: httpx.Client, runtime: Runtime, clock: ManualClock, database: Database
):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    assert entered(client) == 303
    page = posted(client, "begin").text
    secret = re.search(r"secret=([A-Z2-7]{32})", page)[1]  # type: ignore[index]
    assert "otpauth://totp/Ringback:ana?secret=" in page
    assert entered(client) == 303, "it counts from its first code on"
    assert posted(client, "confirm", code="000000").status_code == 422
    on = posted(client, "confirm", code=code_at(secret, step_of(clock.now()))).text
    spare = re.findall(r"<code>([0-9a-f]{10})</code>", on)
    assert len(spare) == 10
    assert not any(one in repr(find(database, tables.users)) for one in spare)

    code = code_at(secret, step_of(clock.now()))
    assert entered(client) == 401
    assert entered(client, code=code) == 401, "it was used"
    clock.advance(timedelta(seconds=30))
    code = code_at(secret, step_of(clock.now()))
    assert entered(client, password="wrong wrong wrong", code=code) == 401
    assert entered(client, code=code) == 303
    assert entered(client, code=code) == 401, "a code is good once"
    assert entered(client, code=spare[0].upper()) == 303
    assert entered(client, code=spare[0]) == 401
    clock.advance(timedelta(seconds=60))
    assert entered(client, code=spare[1]) == 303
    assert posted(client, "end", password=PASSWORD, code="111111").status_code == 422
    assert posted(client, "end", password=PASSWORD, code=code_at(secret, step_of(clock.now()))).status_code == 303
    assert entered(client) == 303
    assert [len(events_of(database, f"second_factor_{one}")) for one in ("on", "off")] == [1, 1]


@sqlite_alone
def test_codes_that_are_guessed_wait_like_passwords(client: httpx.Client, runtime: Runtime, clock: ManualClock):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    secret = access.begin_second_factor("ana", runtime=runtime)
    code = code_at(secret, step_of(clock.now()))
    access.confirm_second_factor("ana", code, address="", keeps=None, runtime=runtime)

    assert [entered(client, code="000000") for _ in range(8)][-1] == 429


# --- people of one account ---------------------------------------------------------------------------------------


@sqlite_alone
def test_somebody_of_one_account_sees_that_account_alone(
    client: httpx.Client, runtime: Runtime, database: Database
):
    for code in ("acme", "other"):
        accounts.create_account(code, code=code, runtime=runtime)
    ours = add_campaign(database, "ours", account_id=1)
    theirs = add_campaign(database, "theirs", account_id=2)
    sql(database, "UPDATE campaigns SET name = 'Their secret survey' WHERE code = 'theirs'")
    for campaign, name in ((ours, "Ana"), (theirs, "Zacarias")):
        add_lead(database, f"+5691234567{campaign}", campaign_id=campaign, nombre=name)
    access.add_user("eva", PASSWORD, role="admin", account="acme", runtime=runtime)
    assert not runtime.database.read(lambda connection: store.has_admin(connection, runtime.clock.now()))
    assert entered(client, "eva") == 303

    assert client.get("/").headers["location"] == "/leads"
    assert "Ana" in client.get("/leads").text
    pages = (
        "/leads", "/leads/2", "/calls", "/schedule", "/schedule?campaign=theirs", "/imports", "/campaigns", "/audit",
        "/leads?campaign=theirs", "/leads/export.csv?campaign=theirs", "/accounts", "/accounts/other", "/config",
        "/access", "/daemons", "/providers", "/do-not-call", "/alerts", "/live", "/metrics", "/api/v1/leads",
        "/api/v1/campaigns", "/api/v1/leads/2", "/api/v1/accounts/other", "/api/v1/events", "/campaigns/theirs",
    )  # fmt: skip
    for page in pages:
        said = client.get(page)
        assert said.status_code in (200, 303, 403, 404, 422), page
        assert not any(one in said.text for one in ("Zacarias", "Their secret survey")), page
    assert access.bind_user("eva", None, runtime=runtime)
    assert client.get("/leads", headers={"Accept": "text/html"}).status_code == 303, "their sessions ended"
    assert entered(client, "eva") == 303
    assert "Zacarias" in client.get("/leads").text
