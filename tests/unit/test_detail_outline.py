"""What a model said, drawn behind its decision: as it stands, with nothing in it that styles, clicks or escapes."""

from __future__ import annotations

import pytest

from screens.detail import outline

HOSTILE = "[@click=app.quit]x[/] \x1b[31m\u202e\x9b [/b] {{context}}"
TOLD = {
    "asked": [{"model": HOSTILE, "prompt": {"version": "1", "user": HOSTILE}, "answer": {"text": HOSTILE}}],
    "drafts": [{"instrument": "paper:BTC/USDT", "rationale": HOSTILE}],
    "inputs": [{"price": "50000", "price_age_ms": 0}],
    "items": [{"became": {"result": "89.769", "still_open": "0"}}],
}


@pytest.mark.fault("A24")
def test_a_model_s_texts_are_drawn_as_plain_text() -> None:
    texts = [text for row in outline(TOLD, 100) for text, _ink in row]
    drawn = "\n".join(texts)
    assert drawn.count("[@click=app.quit]x[/]") == 4
    assert all(each.isprintable() for each in texts)
    for word in ("answer", "prompt", "price", "89.769"):
        assert word in drawn
