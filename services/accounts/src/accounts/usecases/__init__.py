"""What the service does, one file per verb. A use case never commits: whoever opened the transaction does."""
