"""The agents' cycle, from perception to order."""
