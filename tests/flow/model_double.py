"""A model's server on this machine: speaks both vendors' protocols and answers exactly what a test lays down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MESSAGES = "/v1/messages"
COMPLETIONS = "/v1/chat/completions"


@dataclass(frozen=True)
class Says:
    """A whole answer. usage None: without any; (input, output, cached). stop: the vendor's word for a whole answer."""

    text: str
    usage: tuple[object, object, object] | None = (100, 20, 0)
    model: str = ""
    stop: str = ""
    refusal: str = ""
    after: Callable[[], None] | None = None


@dataclass(frozen=True)
class Fails:
    """An error status; a body of text is sent as HTML, anything else as JSON."""

    status: int
    body: Any = field(default_factory=lambda: {"error": {"type": "some_error", "message": "as laid down"}})
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """A 200 with these bytes as its JSON body."""

    body: bytes


class Cut:
    """The connection drops in the middle of the body."""


class Silence:
    """The request is taken and never answered."""


Answer = Says | Fails | Raw | Cut | Silence


class ModelDouble:
    """Answers in the order laid down, the last one for ever. asked: the bodies that came, headers: theirs.

    by_model: what a model answers by its name, whatever the order.
    """

    def __init__(self, *answers: Answer, pause_s: float = 0.0, by_model: dict[str, Answer] | None = None) -> None:
        self.answers: list[Answer] = list(answers)
        self.by_model = by_model or {}
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._pause_s = pause_s
        self._over = asyncio.Event()
        self.taken = asyncio.Event()

    async def __aenter__(self) -> ModelDouble:
        app = web.Application()
        app.router.add_post(MESSAGES, self._answer)
        app.router.add_post(COMPLETIONS, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        answer = self.by_model.get(body["model"]) or self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.taken.set()
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        if isinstance(answer, Says):
            if answer.after is not None:
                answer.after()
            return web.json_response(answer_body(answer, body, request.path))
        if isinstance(answer, Fails):
            return _failed(answer)
        if isinstance(answer, Raw):
            return web.Response(body=answer.body, content_type="application/json")
        return await self._broken(request, answer)

    async def _broken(self, request: web.Request, answer: Cut | Silence) -> web.StreamResponse:
        if isinstance(answer, Silence):
            await self._over.wait()
            return web.Response()
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "5000"})
        await response.prepare(request)
        await response.write(b'{"id": "msg_1", "content": [')
        if request.transport is not None:
            request.transport.abort()
        return response


def _failed(answer: Fails) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body, content_type="text/html", headers=answer.headers)
    return web.Response(
        status=answer.status, text=json.dumps(answer.body), content_type="application/json", headers=answer.headers
    )


def answer_body(answer: Says, body: dict[str, Any], path: str) -> dict[str, Any]:
    model = answer.model or body["model"]
    return _message(answer, model) if path == MESSAGES else _completion(answer, model)


def _message(answer: Says, model: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_sequence": None,
        "content": [{"type": "text", "text": answer.text}] if answer.text else [],
        "stop_reason": answer.stop or "end_turn",
    }  # fmt: skip
    if answer.usage is not None:
        read, wrote, cached = answer.usage
        made["usage"] = {
            "input_tokens": read, "output_tokens": wrote, "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0, "service_tier": "standard",
        }  # fmt: skip
    return made


def _completion(answer: Says, model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text or None, "refusal": answer.refusal or None}
    made: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_767_225_600, "model": model,
        "choices": [{"index": 0, "finish_reason": answer.stop or "stop", "logprobs": None, "message": message}],
    }  # fmt: skip
    if answer.usage is not None:
        read, wrote, cached = answer.usage
        made["usage"] = {
            "prompt_tokens": read, "completion_tokens": wrote, "total_tokens": 0,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        }  # fmt: skip
    return made
