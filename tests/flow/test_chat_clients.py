"""Both SDKs over loopback HTTP: whatever a server does is one outcome, and the key goes nowhere but to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.domain.decision import Outcome
from engine.domain.provider import Protocol, Provider
from engine.keys import Secret
from engine.llm.anthropic_client import AnthropicClient
from engine.llm.chat import ChatReply, ChatRequest, is_same_model, retry_after_ms
from engine.llm.meter import Usage
from engine.llm.openai_client import OpenAiClient
from engine.llm.sdk import SdkClient
from tests.flow.model_double import Answer, Cut, Fails, ModelDouble, Raw, Says, Silence

CANARY = "sk-canary-0123456789"
SCHEMA = {"type": "object", "properties": {"decision": {"type": "string"}}, "required": ["decision"]}
REQUEST = ChatRequest(
    system="You trade.", user="Decide.", schema=SCHEMA, model="model-1", output_tokens_max=300, timeout_ms=5_000
)
KINDS: dict[str, tuple[type[SdkClient], str]] = {"anthropic": (AnthropicClient, ""), "openai": (OpenAiClient, "/v1")}


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def client_of(kind: str, url: str, **changes: Any) -> SdkClient:
    make, path = KINDS[kind]
    provider = Provider(name="here", kind=Protocol(kind), base_url=url + path, key_name="here")
    return make(replace(provider, **changes), lambda _name: Secret(CANARY, "test"), SystemClock())


async def asked(kind: str, answer: Answer, **changes: Any) -> tuple[ChatReply, ModelDouble]:
    async with ModelDouble(answer) as double:
        client = client_of(kind, double.url)
        try:
            return await client.ask(replace(REQUEST, **changes)), double
        finally:
            await client.close()


async def test_a_whole_answer_brings_text_model_and_usage(kind: str) -> None:
    reply, double = await asked(kind, Says('{"decision": "hold"}', usage=(100, 20, 40)))
    assert (reply.outcome, reply.text, reply.model) == (Outcome.DECIDED, '{"decision": "hold"}', "model-1")
    whole = 140 if kind == "anthropic" else 100  # one vendor counts what its cache held apart
    assert reply.usage == Usage(input_tokens=whole, output_tokens=20, cached_tokens=40)
    assert len(double.asked) == 1


@pytest.mark.fault("A23")
async def test_the_request_carries_prompt_limit_and_schema_and_no_tool(kind: str) -> None:
    _reply, double = await asked(kind, Says("{}"))
    (body,) = double.asked
    assert (body["model"], body["max_tokens"]) == ("model-1", 300)
    assert body["messages"][-1] == {"role": "user", "content": "Decide."}
    sent = body["output_config"]["format"] if kind == "anthropic" else body["response_format"]["json_schema"]
    assert sent["schema"] == SCHEMA
    assert not {"tools", "functions", "tool_choice", "mcp_servers"} & set(body)
    assert (body.get("system") or body["messages"][0]["content"]) == "You trade."


async def test_a_server_without_structured_output_gets_no_schema(kind: str) -> None:
    async with ModelDouble(Says("{}")) as double:
        client = client_of(kind, double.url, structured=False)
        assert (await client.ask(REQUEST)).outcome is Outcome.DECIDED
        await client.close()
    assert not {"output_config", "response_format"} & set(double.asked[0])


STOPS = {"anthropic": ("max_tokens", "refusal", "tool_use"), "openai": ("length", "content_filter", "tool_calls")}


@pytest.mark.fault("A06")
@pytest.mark.parametrize("text", ['{"decision": "hold"}', ""])
async def test_an_answer_cut_at_its_limit_is_truncated_even_if_its_beginning_parses(kind: str, text: str) -> None:
    reply, _double = await asked(kind, Says(text, stop=STOPS[kind][0]))
    assert reply.outcome is Outcome.TRUNCATED
    assert reply.usage is not None


@pytest.mark.fault("A15")
async def test_a_safety_stop_and_an_empty_answer_are_refusals(kind: str) -> None:
    for answer in (Says("no", stop=STOPS[kind][1]), Says(""), Says("  \n")):
        reply, _double = await asked(kind, answer)
        assert reply.outcome is Outcome.REFUSED_BY_MODEL
    if kind == "openai":
        reply, _double = await asked(kind, Says("", refusal="I cannot"))
        assert reply.outcome is Outcome.REFUSED_BY_MODEL


async def test_a_call_of_a_tool_that_nobody_offered_is_no_answer(kind: str) -> None:
    reply, _double = await asked(kind, Says("{}", stop=STOPS[kind][2]))
    assert reply.outcome is Outcome.PARSE_FAILED


@pytest.mark.fault("A21")
async def test_another_model_than_asked_is_said(kind: str) -> None:
    reply, _double = await asked(kind, Says("{}", model="model-1-mini"))
    assert (reply.outcome, reply.model) == (Outcome.WRONG_MODEL, "model-1-mini")
    dated, _double = await asked(kind, Says("{}", model="model-1-20260101"))
    assert dated.outcome is Outcome.DECIDED


@pytest.mark.fault("A17")
@pytest.mark.parametrize("usage", [None, (0, 0, 0), (-5, 20, 0), (100, -1, 0), ("many", 20, 0)])
async def test_usage_that_is_missing_or_cannot_be_true_is_unknown(kind: str, usage: Any) -> None:
    reply, _double = await asked(kind, Says("{}", usage=usage))
    assert (reply.outcome, reply.usage) == (Outcome.DECIDED, None)


@pytest.mark.fault("A01")
async def test_no_answer_in_time_is_timed_out(kind: str) -> None:
    reply, _double = await asked(kind, Silence(), timeout_ms=60)
    assert (reply.outcome, reply.usage) == (Outcome.TIMED_OUT, None)


STATUSES = [
    (429, Outcome.RATE_LIMITED, False), (529, Outcome.PROVIDER_DOWN, False), (500, Outcome.PROVIDER_DOWN, False),
    (503, Outcome.PROVIDER_DOWN, False), (408, Outcome.TIMED_OUT, False), (401, Outcome.PROVIDER_DOWN, True),
    (400, Outcome.MODEL_ERROR, True), (404, Outcome.MODEL_ERROR, True), (302, Outcome.MODEL_ERROR, True),
]  # fmt: skip


@pytest.mark.fault("A02", "A04")
@pytest.mark.parametrize(("status", "outcome", "final"), STATUSES)
async def test_an_error_status_is_one_outcome_and_the_sdk_does_not_ask_again(
    kind: str, status: int, outcome: Outcome, final: bool
) -> None:
    reply, double = await asked(kind, Fails(status, headers={"retry-after": "7"}))
    assert (reply.outcome, reply.final, reply.usage, len(double.asked)) == (outcome, final, None, 1)
    assert str(status) in reply.detail
    if status in (429, 503):
        assert reply.retry_after_ms == 7_000


SPENT = {
    "anthropic": Fails(429, {"type": "error", "error": {"type": "rate_limit_error", "message": "no more",
                             "details": {"error_code": "enforced_spend_limit_reached"}}}),
    "openai": Fails(429, {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "no more"}}),
}  # fmt: skip


@pytest.mark.fault("A03")
async def test_the_vendors_spending_limit_is_told_from_its_pace(kind: str) -> None:
    reply, _double = await asked(kind, SPENT[kind])
    assert (reply.outcome, reply.final) == (Outcome.RATE_LIMITED, True)
    assert "spending limit" in reply.detail


@pytest.mark.fault("A16")
@pytest.mark.parametrize("answer", [Cut(), Raw(b"{"), Raw(b"[]"), Raw(b'{"a": 1}'), Fails(200, "<h1>Proxy</h1>")])
async def test_a_body_that_is_cut_or_no_answer_is_the_provider_down(kind: str, answer: Answer) -> None:
    reply, _double = await asked(kind, answer)
    assert (reply.outcome, reply.usage) == (Outcome.PROVIDER_DOWN, None)


async def test_a_server_that_is_not_there_is_the_provider_down(kind: str) -> None:
    async with ModelDouble(Says("{}")) as double:
        url = double.url
    client = client_of(kind, url)
    reply = await client.ask(REQUEST)
    await client.close()
    assert reply.outcome is Outcome.PROVIDER_DOWN


async def test_without_a_key_nothing_is_asked_and_the_command_is_named(kind: str) -> None:
    make, path = KINDS[kind]
    async with ModelDouble(Says("{}")) as double:
        provider = Provider(name="here", kind=Protocol(kind), base_url=double.url + path, key_name="here")
        reply = await make(provider, lambda _name: None, SystemClock()).ask(REQUEST)
    assert (reply.outcome, reply.final, double.asked) == (Outcome.PROVIDER_DOWN, True, [])
    assert "quarterdeck keys set here" in reply.detail


async def test_a_key_that_was_refused_is_looked_for_again_and_the_new_one_is_used(kind: str) -> None:
    make, path = KINDS[kind]
    keys = ["sk-revoked-000", "sk-revoked-000", CANARY]
    async with ModelDouble(Fails(401), Fails(401), Says("{}")) as double:
        provider = Provider(name="here", kind=Protocol(kind), base_url=double.url + path, key_name="here")
        client = make(provider, lambda _name: Secret(keys.pop(0), "test"), SystemClock())
        outcomes = [(await client.ask(REQUEST)).outcome for _ in range(4)]
        await client.close()
    assert outcomes == [Outcome.PROVIDER_DOWN, Outcome.PROVIDER_DOWN, Outcome.DECIDED, Outcome.DECIDED]
    assert [CANARY in " ".join(each.values()) for each in double.headers] == [False, False, True, True]


@pytest.mark.fault("W20")
async def test_no_proxy_and_no_credential_of_the_environment_is_used(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "not-mine")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    reply, double = await asked(kind, Says("{}"))
    assert reply.outcome is Outcome.DECIDED, reply.detail
    assert CANARY in " ".join(double.headers[0].values())
    assert "not-mine" not in " ".join(double.headers[0].values())


@pytest.mark.parametrize("answer", [Says(f"the key is {CANARY}"), Fails(401, {"error": {"message": f"bad {CANARY}"}})])
async def test_a_key_that_a_server_echoes_is_taken_out(kind: str, answer: Answer) -> None:
    reply, _double = await asked(kind, answer)
    assert CANARY not in repr(reply)
    assert "[secret]" in repr(reply)


def test_a_name_with_a_date_is_the_same_model_and_a_longer_name_is_not() -> None:
    assert is_same_model("gpt-4o", "gpt-4o-2024-08-06")
    assert not is_same_model("gpt-4o", "gpt-4o-mini-2024-07-18")
    assert is_same_model("llama3", "/models/llama3.gguf", also=("/models/llama3.gguf",))


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [({"retry-after": "2"}, 2_000), ({"retry-after-ms": "150"}, 150), ({}, None), ({"retry-after": "-1"}, None),
     ({"retry-after": "nan"}, None), ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None)],
)  # fmt: skip
def test_retry_after_is_read_in_seconds_or_not_at_all(headers: dict[str, str], wait_ms: int | None) -> None:
    assert retry_after_ms(headers) == wait_ms
