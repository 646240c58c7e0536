"""Generates what is derived from the contracts, and refuses changes that would break somebody."""
