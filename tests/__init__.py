"""What crosses services: the whole system, started by the launcher."""
