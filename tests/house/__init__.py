"""The rules of the house: imports, lengths, time, locks, faults. What can rot is tested here."""
