"""Cordboard's customer master: customers, interactions, service requests."""
