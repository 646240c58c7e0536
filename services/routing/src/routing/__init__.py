"""Cordboard's routing: the right agent for every work item."""
