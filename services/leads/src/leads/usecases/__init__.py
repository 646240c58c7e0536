"""What this service does, one file per verb. None of it commits."""
