"""What may happen to a lead. Pure: no I/O, no clock, no randomness."""
