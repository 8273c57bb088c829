"""Ways of running the same network, timed in turn: see ``dsad bench engine``."""
