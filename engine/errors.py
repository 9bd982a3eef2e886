"""The errors a person sees: one sentence each, with the exit code the CLI contract gives it."""

from __future__ import annotations


class QuarterdeckError(Exception):
    """Say what is wrong, where, and what to do, in one sentence; exit code 1 (a check failed)."""

    exit_code = 1


class UsageError(QuarterdeckError):
    """A command, flag or file of the trader's cannot be used as it stands; exit code 2."""

    exit_code = 2


class StoreLockedError(QuarterdeckError):
    """Another engine owns the store; exit code 3."""

    exit_code = 3


class VenueUnreachableError(QuarterdeckError):
    """The venue did not answer; exit code 4."""

    exit_code = 4


class StoreError(QuarterdeckError):
    """The store cannot be read or written; nothing may trade on it."""


class RefusedError(QuarterdeckError):
    """The engine will not do what was asked in its present state."""
