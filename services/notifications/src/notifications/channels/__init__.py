"""Ways out: how a message reaches somebody who is not on our bus."""
