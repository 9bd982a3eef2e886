"""Where models answer: a vendor, or any server that speaks a vendor's protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HEURISTICS = ("sma_cross", "rsi_reversion", "macd_momentum", "breakout")
"""The deterministic models that come with the program, of the provider "heuristic"."""


class Protocol(StrEnum):
    """What a server speaks."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One place to ask.

    base_url: "" for the vendor's own. key_name: of the secret in the keyring; "" where the server asks for none.
    calls_max: requests in flight at once. answers_as: further names under which its models may answer (A21).
    structured: the server takes a JSON schema and keeps to it.
    """

    name: str
    kind: Protocol
    base_url: str = ""
    key_name: str = ""
    calls_max: int = 64
    answers_as: tuple[str, ...] = ()
    structured: bool = True


BUILT_IN = (
    Provider(name="anthropic", kind=Protocol.ANTHROPIC, key_name="anthropic"),
    Provider(name="openai", kind=Protocol.OPENAI, key_name="openai"),
)
