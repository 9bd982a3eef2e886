"""How the policy changes: which way each field goes, what differs, what waits for an approval (R24)."""
