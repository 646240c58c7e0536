"""What the service does, one verb a file. A use case never commits: whoever calls it has opened the transaction."""
