"""What routing does, one verb a file."""
