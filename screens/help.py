"""Every key, and what it does."""

from __future__ import annotations

from collections.abc import Sequence

from screens.format import safe, wrap
from screens.model import ConsoleModel
from screens.reading import Reading
from screens.rows import Row, text_row

KEY_WIDTH = 14
SECTIONS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Emergency: these work everywhere, in every field and over every card",
        (
            ("F8", "HALT: no new exposure, at once, without a question. Positions and their stops stay."),
            ("F9", "CANCEL ALL working orders that protect nothing."),
            ("F10", "FLATTEN: asks for a typed word, then closes every position and shows the venue's proof."),
        ),
    ),
    (
        "Decide",
        (
            ("a", "Open the oldest trade that waits for approval; enter on one opens that. Nothing opens by itself."),
            ("t", "Write a trade of your own, in units, 500 USDT or 2% of equity; the same guardrails check it."),
            ("g", "Open the oldest change of the policy that waits for the admin."),
            ("r", "Resume trading after a halt, with a typed reason."),
            ("u", "Unlock the key file; until then agents whose key is in it wait, and others go on."),
            ("c", "Show the certificate of the last flatten."),
        ),
    ),
    (
        "Agents: choose one with tab and the arrows",
        (("p", "Pause it; resume or start it when it is not running."), ("s", "Stop it.")),
    ),
    (
        "Look around",
        (
            ("tab, shift+tab", "Go to the next pane, or the one before."),
            ("↑ ↓ PgUp PgDn", "Move in the pane; End follows the newest decision again."),
            ("enter", "Everything behind the line under the cursor."),
            ("i", "The incidents: what went wrong, and what to do about each."),
            ("/", "Show only the lines that contain a text; esc shows all again."),
            ("f", "Show what was done, leaving the holds out; again for all."),
            ("ctrl+p", "All commands by name."),
            ("esc", "Leave a card or a field; nothing is decided by it."),
            ("q, ctrl+q", "Leave. Leaving never trades: positions keep their resting stops."),
        ),
    ),
    (
        "The first line",
        (
            ("PAPER / LIVE", "where orders go"),
            ("source", "LIVE DATA, REPLAY with its speed, or SIMULATED: whose prices these are"),
            ("state", "ACTIVE, REDUCING (exits only) or HALTED (no new exposure)"),
            ("EQ, DAY", "equity with open positions at their marks, and today's profit or loss"),
            ("DATA, ENG", "the age of the newest price, and of the engine's last word"),
            ("KEYS LOCKED", "agents wait for a key in the key file, until it is unlocked"),
            ("INC", "incidents on record, differences with the venue among them; i lists them"),
            ("APPR, POL", "trades, and changes of the policy, that wait for your answer"),
        ),
    ),
)


class HelpScreen(Reading):
    """The keys, by what one wants to do."""

    TITLE_TEXT = "Help"

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)

    def rows(self, width: int) -> list[Row]:
        mine = ((title, [(self._keys(key), told) for key, told in entries]) for title, entries in SECTIONS)
        return [row for title, entries in mine for row in _section(title, entries, width)]

    def _keys(self, written: str) -> str:
        return ", ".join(self.model.key(key) for key in written.split(", "))


def _section(title: str, entries: Sequence[tuple[str, str]], width: int) -> list[Row]:
    rows = [text_row(safe(title, width), "head")]
    for key, told in entries:
        for place, line in enumerate(wrap(told, max(10, width - KEY_WIDTH - 1), 4)):
            rows.append(((f"{key if place == 0 else '':<{KEY_WIDTH}} ", "accent"), (line, "")))
    return [*rows, text_row("")]
