"""What a person can do about an incident, by its code."""

from __future__ import annotations

OTHERWISE = "What it says is on record; nothing waits for an answer."
_UNKNOWN = "Look at the venue, then say what became of the order: `quarterdeck resolve ORDER`."
_VERIFY = "Run `quarterdeck verify`; if it finds a fault, `quarterdeck halt` and restore a backup."
_BARE = "Put a stop there: `quarterdeck protect INSTRUMENT --stop 2%`, or --bare where none is wanted."
_CLOSE = "Close what is left: `quarterdeck flatten`, or by hand at the venue."
_ADVICE = {
    "RESTORED": "Look at what the venue did since: `quarterdeck differences`; then `quarterdeck resume --reason WHY`.",
    "ORDER_UNKNOWN": _UNKNOWN,
    "NEEDS_TRADER": _UNKNOWN,
    "UNPROTECTED": _BARE,
    "NOT_CUT": "Nothing while it is tried again; cancel or cut the order at the venue if it stays.",
    "NOT_CLOSED": _CLOSE,
    "CLOSE_BY_HAND": _CLOSE,
    "FLATTEN_WAITS": "Look at the venue; `quarterdeck status` shows whether the flatten has ended.",
    "LEDGER_BREACH": _VERIFY,
    "EMERGENCY_FILE": "Look at the venue's orders and positions, then `quarterdeck resume --reason WHY`.",
    "RECONCILE_FAILED": "Nothing while it is tried again; check the venue if it goes on.",
    "KEYS_LOCKED": "Open the key file: u in the console, or `quarterdeck keys unlock`.",
    "MODEL_NOT_READY": "Mend what it names, such as a missing key or price; `quarterdeck doctor` says where files are.",
    "PRICES_OLD": "Compare prices.toml with what the providers charge now, and give it today's date.",
    "POLICY_ENV": "Take the variable away, or ask with `quarterdeck policy propose`: variables may only tighten.",
    "AI_OVERRUN": "Read the bill: `quarterdeck spend`; then `quarterdeck ai on --reason WHY`.",
    "BACKUP_FAILED": "Make room or mend the folder, then `quarterdeck db backup`.",
}


def advice(code: str) -> str:
    """Return what a person can do about an incident of this code.

    >>> advice("BACKUP_FAILED")
    'Make room or mend the folder, then `quarterdeck db backup`.'
    """
    return _ADVICE.get(code, OTHERWISE)
