"""What the Models API's word about a model means for a run, in the server's words of October 2026."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.call.caller import Broken, Response
from pipeline.call.preflight import notes
from pipeline.errors import AccountRefused, ConfigInvalid, PipelineError
from tests.api import Canned, error
from tests.call.fakes import FORM

CARD: dict[str, Any] = {
    "type": "model",
    "id": "claude-haiku-5-5",
    "lifecycle": "active",
    "retires_at": None,
    "max_tokens": 128_000,
    "capabilities": {
        "structured_outputs": {"supported": True},
        "effort": {"supported": True, "low": {"supported": True}, "max": {"supported": False}},
        "thinking": {"supported": True, "types": {"disabled": {"supported": True}, "adaptive": {"supported": False}}},
    },
}


def said(canned: Canned) -> Response:
    return Response(canned.status, canned.headers, canned.body, 0.1)


def card(**changes: Any) -> Response:
    return said(Canned(200, json.dumps({**CARD, **changes}).encode()))


def test_a_model_that_takes_the_form_needs_no_word() -> None:
    assert notes(card(), FORM) == ()


@pytest.mark.parametrize(
    ("changes", "asked", "fault"),
    [
        ({"lifecycle": "retired", "retires_at": "2026-11-30T00:00:00Z"}, {}, "has ended on 2026-11-30"),
        ({"max_tokens": 99}, {}, "writes at most 99 tokens, not 100"),
        ({"capabilities": {"structured_outputs": {"supported": False}}}, {}, "no structured outputs; set it to tool or prompt"),
        ({}, {"effort": "max"}, "does not take max"),
        ({}, {"thinking": {"type": "adaptive"}}, "does not take adaptive"),
    ],
)
def test_what_the_model_cannot_do_ends_the_run_before_it_pays(changes: Any, asked: Any, fault: str) -> None:
    with pytest.raises(ConfigInvalid, match=fault):
        notes(card(**changes), replace(FORM, **asked))


def test_only_what_is_asked_for_matters() -> None:
    form = replace(FORM, way="prompt", thinking=None, effort=None)
    assert notes(card(capabilities={"structured_outputs": {"supported": False}}), form) == ()


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"lifecycle": "deprecated", "retires_at": "2026-11-30T00:00:00Z"}, "ends on 2026-11-30"),
        ({"lifecycle": "deprecated"}, "is deprecated and will end"),
        ({"retires_at": "2027-10-07T00:00:00Z"}, "ends on 2027-10-07"),
    ],
)
def test_the_end_of_a_model_is_told_but_stops_nothing(changes: dict[str, Any], note: str) -> None:
    (told,) = notes(card(**changes), FORM)
    assert note in told


STOPS: list[tuple[Canned, type[PipelineError], str]] = [
    (error(401, "authentication_error", "invalid x-api-key"), AccountRefused, "ANTHROPIC_API_KEY"),
    (error(402, "billing_error"), AccountRefused, "402"),
    (error(403, "permission_error"), AccountRefused, "403"),
    (error(429, "rate_limit_error", code="enforced_spend_limit_reached"), AccountRefused, "spend"),
    (error(404, "not_found_error", "model: claude-haiku-5-5"), ConfigInvalid, "knows no claude-haiku-5-5"),
]


@pytest.mark.parametrize(("canned", "stop", "words"), STOPS)
def test_trouble_with_account_or_model_stops_the_run(canned: Canned, stop: type[PipelineError], words: str) -> None:
    with pytest.raises(stop, match=words):
        notes(said(canned), FORM)


def test_an_unknown_model_brings_the_nearest_ids() -> None:
    form = replace(FORM, model="claude-haiku-55")
    with pytest.raises(ConfigInvalid, match="did you mean claude-haiku-5-5"):
        notes(said(error(404, "not_found_error", "model: claude-haiku-55")), form)


NOTHING: list[Response | Broken] = [
    Broken(False, "refused", 0.1),
    Broken(True, "ReadTimeout", 15.0),
    said(Canned(404, b'{"detail":"Not Found"}')),
    said(Canned(404, b"<html>404</html>")),
    said(error(404, "not_found_error", "Not Found")),
    said(Canned(401, b"<html>who are you?</html>")),
    said(Canned(501, b"Unsupported method")),
    said(error(429, "rate_limit_error", retry_after="3600")),
    said(error(500, "api_error")),
    said(error(529, "overloaded_error")),
    said(Canned(307, b"")),
    said(Canned(200, b"<html>hello</html>")),
    said(Canned(200, b'"model"')),
    said(Canned(200, b"[" * 100_000)),
    said(Canned(200, b"{}")),
    card(capabilities=None, max_tokens=None, lifecycle=None),
    card(capabilities={"structured_outputs": None, "thinking": {"types": []}, "effort": 5}, max_tokens="9"),
]


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_server_that_says_nothing_of_the_model_stops_nothing(nothing: Response | Broken) -> None:
    assert notes(nothing, FORM) == ()
