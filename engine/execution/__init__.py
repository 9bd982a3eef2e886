"""From an intent to a fill: router, gateways, protection, flatten, accounting."""
