"""A model's name: "provider:model", or a bare one that stands for exactly one of those that are known (R6)."""

from __future__ import annotations

import difflib
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.config.fields import one_of, pattern, shown
from engine.config.prices import FILE_NAME, prices_of
from engine.domain.provider import HEURISTICS
from engine.errors import UsageError

_FORM = '"provider:model", such as "heuristic:sma_cross"'
_FULL = pattern(r"[a-z0-9_]{1,20}:\S{1,80}", _FORM)
_BARE = re.compile(r"[^\s:]{1,80}")
CLOSE = 0.5


class ModelNames:
    """The models that a bare name may mean: those that a configuration's prices.toml lists, and the heuristics.

    config_dir: where that file is, None: nowhere. It is read when the first bare name is met.
    """

    def __init__(self, config_dir: Path | None = None) -> None:
        self._dir = config_dir

    @cached_property
    def _known(self) -> dict[str, list[str]]:
        priced = sorted(prices_of(self._dir).lines) if self._dir is not None else []
        known: dict[str, list[str]] = {}
        for full in [*priced, *(f"heuristic:{name}" for name in HEURISTICS)]:
            known.setdefault(full.partition(":")[2], []).append(full)
        return known

    def knows(self, word: str) -> bool:
        """Tell whether a bare name means a model, or several."""
        return word in self._known

    def full(self, where: str, value: Any) -> str:
        """Read a model into "provider:model". Raises UsageError, with what was probably meant."""
        if not isinstance(value, str) or not _BARE.fullmatch(value):
            read: str = _FULL(where, value)
            return read
        meant = self._known.get(value, [])
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise UsageError(f"{where} {shown(value)} is a model of several providers; write {one_of(meant)}.")
        near = [full for name in difflib.get_close_matches(value, self._known, 3, CLOSE) for full in self._known[name]]
        if near:
            raise UsageError(f"{where} {shown(value)} is no model that {FILE_NAME} lists; did you mean {one_of(near)}?")
        raise UsageError(f"{where} {shown(value)} must be {_FORM}, or a name that {FILE_NAME} lists.")
