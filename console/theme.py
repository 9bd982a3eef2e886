"""One dark theme: calm, one accent, red only for danger."""

from __future__ import annotations

from textual.theme import Theme

QUARTERDECK = Theme(
    name="quarterdeck",
    primary="#7fb6d5",
    secondary="#8fa1b3",
    accent="#7fb6d5",
    foreground="#c9d1d9",
    background="#0f1419",
    surface="#141b22",
    panel="#1b242d",
    success="#86b98f",
    warning="#d8a657",
    error="#ef6b73",
    dark=True,
)

# Named here and not in the theme, so that the style sheet is complete under any theme.
VARIABLES = {
    "rule": "#2a3540",
    "muted": "#7d8a97",
    "loss": "#d39a7c",
    "cursor-row": "#22303c",
}
