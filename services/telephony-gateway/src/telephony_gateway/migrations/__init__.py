"""The service's tables, version by version."""
