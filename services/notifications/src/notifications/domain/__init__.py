"""What is decided without knowing about clocks, chance, networks or databases."""
