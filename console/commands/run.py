"""`quarterdeck run-agent`: one agent from flags, at once."""

from __future__ import annotations

from typing import Any

from console.commands.open import REPLAYED, draw, need_terminal, own_engine, refuse_owned
from console.options import Settings, agent_options, bell_option, command, config_option, feed_options, given_flags


@command("run-agent")
@config_option
@feed_options
@bell_option
@agent_options
def run_agent(**given: Any) -> int:
    """Run one agent in the console, at once, trading on paper.

    Percentages are written 5%, 500bps or 0.05; a bare 5 is refused, for it could mean two things.
    """
    settings = Settings(**{name: given.pop(name) for name in ("store", "config_dir", "feed", "speed", "seed", "bell")})
    flags = given_flags(given)
    _check(flags, settings)
    need_terminal(REPLAYED)
    refuse_owned(settings)
    return draw(lambda: own_engine(settings, flags=flags), bell=settings.bell, config_dir=settings.config_dir)


def _check(flags: dict[str, Any], settings: Settings) -> None:
    """Refuse flags that cannot be read before anything is drawn."""
    from engine import runtime

    runtime.check_flags(flags, settings.config_dir or runtime.config_dir())
