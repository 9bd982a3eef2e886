"""One question to one provider, and what came back: text to parse, or an outcome of its own; never an exception."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from engine.domain.decision import Outcome
from engine.llm.meter import Usage

Schema = Mapping[str, Any]
DETAIL_CHARACTERS_MAX = 200
SPEND_CAP_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked. schema: the answer's JSON schema where the server keeps to one; timeout_ms: for all of it."""

    system: str
    user: str
    schema: Schema | None
    model: str
    output_tokens_max: int
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What came back. outcome DECIDED: text is whole and waits to be parsed; what else it may be says why it is not.

    model: the name that answered, "" when none did. usage None: not known, so the whole reservation is owed (B3).
    retry_after_ms: what the server asked for. final: asking again now is of no use, whatever the outcome.
    """

    outcome: Outcome
    text: str = ""
    model: str = ""
    usage: Usage | None = None
    latency_ms: int = 0
    retry_after_ms: int | None = None
    detail: str = ""
    final: bool = False


class ChatClient(Protocol):
    """One provider's server, asked through its SDK."""

    def prepare(self) -> str:
        """Load the SDK and the key ahead of the first question; return why it cannot be asked, "" when it can."""
        ...

    async def ask(self, request: ChatRequest) -> ChatReply:
        """Ask once: no retry, no exception but a cancellation."""
        ...

    async def close(self) -> None:
        """Let the connections go."""
        ...


def usage_of(input_tokens: object, output_tokens: object, cached_tokens: object = 0, beside: int = 0) -> Usage | None:
    """Return what an answer says it used; None when it does not say so in whole numbers that can be true (A17).

    beside: input that the vendor counts apart, such as what its cache held.
    """
    read, made, cached = _count(input_tokens), _count(output_tokens), _count(cached_tokens)
    if not (read + beside > 0 and made > 0):
        return None
    return Usage(input_tokens=read + beside, output_tokens=made, cached_tokens=min(cached, read + beside))


def _count(tokens: object) -> int:
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0 else 0


def is_same_model(asked: str, answered: str, also: tuple[str, ...] = ()) -> bool:
    """Tell whether the model that answered is the one asked: its name, with a date at most, or a name declared (A21).

    >>> is_same_model("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"), is_same_model("gpt-4o", "gpt-4o-mini")
    (True, False)
    """
    return answered == asked or answered in also or _DATED.sub("", answered) == asked


def of_error(error: Exception) -> ChatReply:
    """Turn whatever an SDK raised into an outcome; both vendors' errors have one shape."""
    kinds = {each.__name__ for each in type(error).__mro__}
    if "APITimeoutError" in kinds or isinstance(error, TimeoutError):
        return ChatReply(outcome=Outcome.TIMED_OUT, detail="no answer in time")
    if "APIStatusError" in kinds:
        return _of_status(error)
    if "APIConnectionError" in kinds:
        return ChatReply(outcome=Outcome.PROVIDER_DOWN, detail=f"the connection failed: {_cause(error)}")
    return ChatReply(outcome=Outcome.PROVIDER_DOWN, detail=f"the answer cannot be read: {type(error).__name__}")


def _of_status(error: Any) -> ChatReply:
    status, code, said = int(error.status_code), *_said(error)
    detail = f"HTTP {status}: {said}"[:DETAIL_CHARACTERS_MAX]
    wait_ms = retry_after_ms(error.response.headers)
    if status == 402 or (status == 429 and (code in SPEND_CAP_CODES or "spend" in code)):
        capped = f"the vendor's own spending limit is reached; {detail}"[:DETAIL_CHARACTERS_MAX]
        return ChatReply(outcome=Outcome.RATE_LIMITED, retry_after_ms=wait_ms, detail=capped, final=True)
    if status == 429:
        return ChatReply(outcome=Outcome.RATE_LIMITED, retry_after_ms=wait_ms, detail=detail)
    if status == 408:
        return ChatReply(outcome=Outcome.TIMED_OUT, detail=detail)
    if status >= 500 or status == 409:
        return ChatReply(outcome=Outcome.PROVIDER_DOWN, retry_after_ms=wait_ms, detail=detail)
    if status in (401, 403):
        return ChatReply(outcome=Outcome.PROVIDER_DOWN, detail=f"the key was refused; {detail}", final=True)
    return ChatReply(outcome=Outcome.MODEL_ERROR, detail=detail, final=True)


def _said(error: Any) -> tuple[str, str]:
    """Return an error body's own code and sentence; an HTML page has neither."""
    body: dict[str, Any] = error.body if isinstance(error.body, dict) else {}
    within = body.get("error")
    inner: dict[str, Any] = within if isinstance(within, dict) else body
    codes = [inner.get("code"), inner.get("type"), getattr(error, "error_code", None)]
    code = " ".join(each for each in codes if isinstance(each, str))
    first = next((each for each in SPEND_CAP_CODES if each in code.split()), code)
    message = inner.get("message")
    return first, message if isinstance(message, str) else "no reason given"


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """Return how long a server asks to be left alone; None when it does not say, or not in seconds."""
    for name, unit_ms in (("retry-after-ms", 1), ("retry-after", 1000)):
        try:
            wait_ms = float(headers.get(name, "")) * unit_ms
        except ValueError:
            continue
        if 0 <= wait_ms <= 31 * 86_400_000:
            return int(wait_ms)
    return None


def _cause(error: BaseException) -> str:
    return type(error.__cause__ or error).__name__


def schema_text(schema: Schema | None) -> str:
    """Write a schema as it is sent, for counting and keeping."""
    return "" if schema is None else json.dumps(schema, separators=(",", ":"), sort_keys=True)
