"""News as data: text of others, never an instruction (R29, R30)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsItem:
    """One piece of news. published_ms: as its source says. symbols: those of ours that it is about."""

    title: str
    summary: str
    source: str
    published_ms: int
    symbols: tuple[str, ...] = ()
