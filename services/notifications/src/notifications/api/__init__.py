"""HTTP: translate and call a use case."""
