"""Anthropic's messages, and any server that speaks their protocol, through their own SDK."""

from __future__ import annotations

from typing import Any

from engine.domain.decision import Outcome
from engine.llm.chat import ChatReply, ChatRequest, is_same_model, usage_of
from engine.llm.sdk import SdkClient

COMPLETE = ("end_turn", "stop_sequence")
THOUGHTS = ("thinking", "redacted_thinking")
VENDOR_URL = "https://api.anthropic.com"


class AnthropicClient(SdkClient):
    """One provider that speaks Anthropic's protocol."""

    @staticmethod
    def _module() -> Any:
        import anthropic  # 0.9 s

        return anthropic

    def _load(self, key: str) -> Any:
        url = self.provider.base_url or VENDOR_URL
        return self._module().AsyncAnthropic(api_key=key, base_url=url, max_retries=0, http_client=self._http())

    async def _send(self, request: ChatRequest) -> Any:
        fields: dict[str, Any] = {}
        if request.schema is not None and self.provider.structured:
            fields["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
        return await self._sdk.messages.create(
            model=request.model,
            max_tokens=request.output_tokens_max,
            system=request.system,
            messages=[{"role": "user", "content": request.user}],
            timeout=request.timeout_ms / 1000,
            **fields,
        )

    def _read(self, answer: Any, request: ChatRequest) -> ChatReply:
        blocks = [block for block in answer.content if block.type not in THOUGHTS]
        text = "".join(block.text for block in blocks if block.type == "text")
        alone = all(block.type == "text" for block in blocks)
        outcome, detail = self._judge(answer, request, text, alone)
        return ChatReply(outcome=outcome, text=text, model=str(answer.model), usage=_usage(answer.usage), detail=detail)

    def _judge(self, answer: Any, request: ChatRequest, text: str, alone: bool) -> tuple[Outcome, str]:
        model, stop = str(answer.model), answer.stop_reason
        if not is_same_model(request.model, model, self.provider.answers_as):
            return Outcome.WRONG_MODEL, f"asked {request.model}, answered {model}"
        if stop == "refusal":
            return Outcome.REFUSED_BY_MODEL, "the model refused"
        if stop == "tool_use" or not alone:
            return Outcome.PARSE_FAILED, "the answer is not text alone"
        if stop not in COMPLETE:
            return Outcome.TRUNCATED, f"not complete: stop_reason {stop}, {request.output_tokens_max} tokens allowed"
        if not text.strip():
            return Outcome.REFUSED_BY_MODEL, "the answer is empty"
        return Outcome.DECIDED, ""


def _usage(used: Any) -> Any:
    """Count what came from the cache with the input, of which the vendor counts only the rest."""
    if used is None:
        return None
    cached, kept = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
    return usage_of(used.input_tokens, used.output_tokens, cached, beside=cached + kept)
