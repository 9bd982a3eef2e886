"""What the trader was shown of a ticket, kept until it is sent or newer previews have pushed it out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Seen:
    """What a preview showed: the price, None without one, and what the ticket's quantity came to in base."""

    price: Decimal | None
    qty: Decimal
