"""What a request that cannot be served is told."""

from __future__ import annotations


def test_an_address_that_is_not_there_is_a_problem_of_one_sentence(client):
    answer = client.get("/api/v1/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is nothing at this address",
    }
