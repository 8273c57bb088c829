"""``dsad prove``: reliability in figures, one proof a module."""
