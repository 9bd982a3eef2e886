"""The proof by simulation: the real execution and store code before a seeded venue on a virtual clock.

A schedule is fixed before it runs: what people, agents and the venue do, and which faults strike where. Nothing is
drawn while it runs, so that a failing one can be cut down to the few lines that matter and replayed exactly.
"""
