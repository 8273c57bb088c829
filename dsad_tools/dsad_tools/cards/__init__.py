"""Model cards: what an engine is for, what it learned from and what it was measured at."""
