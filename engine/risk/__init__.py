"""What may be traded, how much, and when everything stops."""
