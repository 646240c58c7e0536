"""HTTP: one module per resource, which translates and calls a use case."""
