"""Prompts and answers on disk: by hash, compressed, private, and gone when the policy says so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.prompts import DAY_MS, PromptStore, text_hash

NOW_MS = 1_767_225_600_000


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_a_text_is_kept_once_compressed_and_for_its_owner_only(tmp_path: Path) -> None:
    store = PromptStore(tmp_path / "prompts")
    text = "what was asked " * 200
    name = store.put("prompt", text)
    assert store.put("prompt", text) == name == text_hash(text)
    assert store.get(name) == text
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_size < len(text) / 10
    assert store.size() == (1, path.stat().st_size)


def test_what_was_altered_cut_or_never_there_is_not_believed(tmp_path: Path) -> None:
    store = PromptStore(tmp_path)
    name, other = store.put("answer", "the answer"), store.put("answer", "another")
    path = next(each for each in files(tmp_path) if each.name.startswith(name))
    foreign = next(each for each in files(tmp_path) if each.name.startswith(other))
    path.write_bytes(foreign.read_bytes())
    assert store.get(name) is None
    path.write_bytes(b"no zlib")
    assert store.get(name) is None
    assert store.get(text_hash("never kept")) is None
    assert store.get("../../../etc/passwd") is None


def test_retention_deletes_what_is_older_and_leaves_the_rest(tmp_path: Path) -> None:
    store = PromptStore(tmp_path)
    old, new = store.put("prompt", "old"), store.put("prompt", "new")
    for path in files(tmp_path):
        age_days = 31 if path.name.startswith(old) else 29
        kept_s = (NOW_MS - age_days * DAY_MS) / 1000
        os.utime(path, (kept_s, kept_s))
    assert store.prune(NOW_MS, days=30) == 1
    assert (store.get(old), store.get(new)) == (None, "new")
    assert store.prune(NOW_MS, days=0) == 1
    assert files(tmp_path) == []


@pytest.mark.fault("A23")
def test_a_secret_is_taken_out_before_anything_is_hashed_or_written(tmp_path: Path) -> None:
    store = PromptStore(tmp_path, redact=lambda text: text.replace("sk-1234", "[secret]"))
    name = store.put("prompt", "my key is sk-1234")
    assert store.get(name) == "my key is [secret]"
    assert name == text_hash("my key is [secret]")


@given(st.text(max_size=200))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as root:
        store = PromptStore(Path(root))
        assert store.get(store.put("answer", text)) == text
