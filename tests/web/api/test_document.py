"""The OpenAPI document says what is true: a program draws requests from it and checks every answer against it."""

from __future__ import annotations

import functools
import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.rules.policy import ALL_KEYS, read_config_value
from scheduler.web.api.models import CampaignNew
from scheduler.web.api.settings import components, kinds
from tests import factories
from tests.examples import examples
from tests.waiting import BACKSTOP

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
OURS = ("campaigns", "leads", "schedule", "calls", "do-not-call", "config", "accounts", "daemons", "figures", "explain")


def test_what_the_document_allows_is_served_and_what_it_forbids_is_refused(served, database):
    """Each operation with a few requests that keep the document and a few that break it."""
    campaign_id = factories.add_campaign(database, "autumn")
    factories.add_due_lead(database, campaign_id=campaign_id)
    schema = schemathesis.openapi.from_url(f"{served}/openapi.json", timeout=BACKSTOP)
    operations = [one.ok() for one in schema.get_all_operations()]
    ours = [one for one in operations if set(one.tags or ()) & set(OURS)]
    assert len(ours) > 45
    for mode in schemathesis.GenerationMode:
        few = 2 if mode is schemathesis.GenerationMode.POSITIVE else 1
        for operation in ours:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=few, database=None, derandomize=True, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def check(case):
                case.call_and_validate(timeout=BACKSTOP)

            try:
                check()
            except Exception as error:  # an operation without parameters has nothing that could break it
                if type(error).__name__ not in ("Unsatisfiable", "SkipTest", "Skipped"):
                    raise


def test_every_error_in_the_document_is_a_problem_and_every_operation_has_its_own_name(client):
    document = client.get("/openapi.json").json()

    text = json.dumps(document)
    assert document["openapi"].startswith("3.1") and "HTTPValidationError" not in text and "x-component" not in text
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    for one in operations:
        for status, answer in one["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (one["operationId"], status)


def test_the_page_of_the_document_shows_every_operation_and_loads_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    document = client.get("/openapi.json").json()

    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
    assert "http://" not in page.replace(str(client.base_url).rstrip("/"), "") and "https://" not in page


def test_the_bounds_of_each_rule_are_those_of_the_table(database):
    assert set(kinds()) == set(ALL_KEYS)
    for key, kind in kinds().items():
        if "minimum" not in kind.schema:
            continue
        least, most = kind.schema["minimum"], kind.schema["maximum"]
        step = 1 if kind.schema["type"] == "integer" else 0.001
        read_config_value(key, kind.to_text(least))
        read_config_value(key, kind.to_text(most))
        for beyond in (least - step, most + step):
            with pytest.raises(InvalidValue):
                read_config_value(key, str(beyond))


@settings(max_examples=examples(10), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_call_settings_that_the_document_allows_are_never_refused(database_url, data):
    CampaignNew.model_validate({"name": "x", "call_settings": data.draw(_settings_strategy()).body})


@functools.cache
def _settings_strategy():
    known = components()
    document = {
        "openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "components": {"schemas": known},
        "paths": {"/x": {"post": {
            "requestBody": {"required": True, "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/CallSettings"},
            }}},
            "responses": {"200": {"description": "ok"}},
        }}},
    }
    return schemathesis.openapi.from_dict(document)["/x"]["POST"].as_strategy()
