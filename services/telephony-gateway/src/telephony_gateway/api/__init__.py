"""HTTP: translate, and call a use case or ask the PBX's owner."""
