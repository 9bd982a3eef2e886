"""All mutants: importing this module registers them."""

from __future__ import annotations

from engine.ops.simulate import mutants_booking, mutants_sending
from engine.ops.simulate.mutant import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "mutants_booking", "mutants_sending"]
