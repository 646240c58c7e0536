"""A small service, to try the chassis with: it keeps a counter per customer and owns workspaces."""
