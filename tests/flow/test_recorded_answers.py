"""Answers that the vendors really gave, through the SDKs: the double has their shapes, and each is read as it was."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.domain.decision import Outcome
from tests.flow.model_double import ModelDouble, Raw, Says, answer_body
from tests.flow.test_chat_clients import REQUEST, client_of

CASSETTES = Path(__file__).resolve().parents[3] / "shared/data/llm_cassettes/pydantic_ai_anthropic_openai.zip"
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}
EACH = 6

pytestmark = pytest.mark.skipif(not CASSETTES.exists(), reason=f"{CASSETTES} is not here")


def recorded(kind: str) -> Iterator[dict[str, Any]]:
    """Yield whole bodies that a vendor answered with, as they were recorded."""
    yaml = pytest.importorskip("yaml", reason="reading the recorded answers needs PyYAML")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with zipfile.ZipFile(CASSETTES) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".yaml") or archive.getinfo(name).file_size > 20_000:
                continue
            for each in yaml.load(archive.read(name), Loader=loader).get("interactions", ()):
                body = each["response"].get("parsed_body")
                asked = each["request"]["uri"].partition("?")[0]
                if isinstance(body, dict) and asked.endswith(PATHS[kind]) and ("content" in body or "choices" in body):
                    yield body


@pytest.mark.parametrize("kind", sorted(PATHS))
async def test_real_answers_are_read_with_their_text_model_and_usage(kind: str) -> None:
    bodies = [body for _number, body in zip(range(EACH), recorded(kind), strict=False)]
    assert len(bodies) == EACH
    for body in bodies:
        async with ModelDouble(Raw(json.dumps(body).encode())) as double:
            client = client_of(kind, double.url, answers_as=(body["model"],))
            reply = await client.ask(REQUEST)
            await client.close()
        assert reply.outcome in (Outcome.DECIDED, Outcome.PARSE_FAILED, Outcome.TRUNCATED), (body, reply)
        assert reply.model == body["model"]
        assert reply.usage is not None
        assert reply.text or reply.outcome is Outcome.PARSE_FAILED


@pytest.mark.parametrize("kind", sorted(PATHS))
def test_the_double_answers_with_no_field_that_the_vendor_does_not_have(kind: str) -> None:
    body = next(recorded(kind))
    made = answer_body(Says("{}"), {"model": "model-1"}, PATHS[kind])
    assert set(made) <= set(body)
    assert set(made["usage"]) <= set(body["usage"])
