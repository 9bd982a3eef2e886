"""One dark theme: calm, one accent, red only for danger.

The greys are nearly neutral, so that a terminal of 256 colours (any SSH session) still tells them apart.
"""

from __future__ import annotations

from textual.theme import Theme

QUARTERDECK = Theme(
    name="quarterdeck",
    primary="#7fb6d5",
    secondary="#8fa1b3",
    accent="#7fb6d5",
    foreground="#cdd3da",
    background="#121416",
    surface="#181b1e",
    panel="#1f2327",
    success="#86b98f",
    warning="#d8a657",
    error="#ef6b73",
    dark=True,
)

# Named here and not in the theme, so that the style sheet is complete under any theme.
VARIABLES = {
    "rule": "#343a40",
    "muted": "#838d97",
    "loss": "#d39a7c",
    "cursor-row": "#2b3137",
}
