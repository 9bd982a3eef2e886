"""Where the stop and the target of each open position belong: what its entry brought, or a person asked for since."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.events import ProtectionAsked, StopTrailed

Who = tuple[str, str]
"""An agent's name, and an instrument's key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Prices in quote; None: none asked for. bare: a person said that the position is to stand without a stop."""

    stop: Decimal | None = None
    target: Decimal | None = None
    bare: bool = False


NOTHING = Wish()


@dataclass(slots=True)
class Wishes:
    """By agent and instrument; a wish ends with its position, so that none is taken for the next one's."""

    by: dict[Who, Wish] = field(default_factory=dict)

    def of(self, agent: str, instrument: str) -> Wish:
        """Return what is asked for a position."""
        return self.by.get((agent, instrument), NOTHING)

    def entered(self, who: Who, stop: Decimal | None, target: Decimal | None, *, anew: bool) -> None:
        """Take what an entry brought as it began to fill; what it did not bring stays, unless the position is new."""
        was = NOTHING if anew else self.of(*who)
        now = Wish(stop=stop or was.stop, target=target or was.target, bare=was.bare and not stop)
        if now != NOTHING:
            self.by[who] = now
        elif anew:
            self.by.pop(who, None)

    def asked(self, event: ProtectionAsked) -> None:
        """Take a person's word; it says all there is to be."""
        self.by[event.agent, event.instrument] = Wish(stop=event.stop, target=event.target, bare=event.stop is None)

    def trailed(self, event: StopTrailed) -> None:
        """Follow a stop that has moved, so that a lost one is put back where it was last."""
        was = self.of(event.agent, event.instrument)
        self.by[event.agent, event.instrument] = Wish(stop=event.now, target=was.target)

    def ended(self, who: Who) -> None:
        """Forget the wish of a position that is flat."""
        self.by.pop(who, None)
