"""OpenAI's chat completions, and any server that speaks their protocol, through their own SDK."""

from __future__ import annotations

from typing import Any

from engine.domain.decision import Outcome
from engine.llm.chat import ChatReply, ChatRequest, is_same_model, usage_of
from engine.llm.sdk import SdkClient

VENDOR_URL = "https://api.openai.com/v1"


class OpenAiClient(SdkClient):
    """One provider that speaks OpenAI's protocol."""

    @staticmethod
    def _module() -> Any:
        import openai  # 0.3 s

        return openai

    def _load(self, key: str) -> Any:
        openai = self._module()
        url = self.provider.base_url or VENDOR_URL
        # The environment's organization and project belong to another key than ours.
        nobody: Any = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        return openai.AsyncOpenAI(
            api_key=key, base_url=url, max_retries=0, http_client=self._http(), default_headers=nobody
        )

    async def _send(self, request: ChatRequest) -> Any:
        # The vendor's newer models refuse max_tokens, and most compatible servers know nothing else.
        limit = "max_tokens" if self.provider.base_url else "max_completion_tokens"
        fields: dict[str, Any] = {limit: request.output_tokens_max}
        if request.schema is not None and self.provider.structured:
            form = {"name": "decision", "schema": request.schema, "strict": False}
            fields["response_format"] = {"type": "json_schema", "json_schema": form}
        return await self._sdk.chat.completions.create(
            model=request.model,
            messages=[{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            timeout=request.timeout_ms / 1000,
            **fields,
        )

    def _read(self, answer: Any, request: ChatRequest) -> ChatReply:
        choice = answer.choices[0]
        text = choice.message.content or ""
        outcome, detail = self._judge(str(answer.model), choice, request, text)
        return ChatReply(outcome=outcome, text=text, model=str(answer.model), usage=_usage(answer.usage), detail=detail)

    def _judge(self, model: str, choice: Any, request: ChatRequest, text: str) -> tuple[Outcome, str]:
        stop = choice.finish_reason
        if not is_same_model(request.model, model, self.provider.answers_as):
            return Outcome.WRONG_MODEL, f"asked {request.model}, answered {model}"
        if choice.message.refusal or stop == "content_filter":
            return Outcome.REFUSED_BY_MODEL, "the model refused"
        if choice.message.tool_calls or stop in ("tool_calls", "function_call"):
            return Outcome.PARSE_FAILED, "the answer is not text alone"
        if stop != "stop":
            return Outcome.TRUNCATED, f"not complete: finish_reason {stop}, {request.output_tokens_max} tokens allowed"
        if not text.strip():
            return Outcome.REFUSED_BY_MODEL, "the answer is empty"
        return Outcome.DECIDED, ""


def _usage(used: Any) -> Any:
    if used is None:
        return None
    details = used.prompt_tokens_details
    return usage_of(used.prompt_tokens, used.completion_tokens, details.cached_tokens if details else 0)
