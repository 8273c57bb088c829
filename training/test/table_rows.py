"""The rows of the paper's tables, as ``table1/dsad``."""

from dsad_training.tables.paper import load_paper

PAPER = load_paper()
ROWS = {f"table{number}/{name}": row for number, t in PAPER.tables.items() for name, row in t.rows.items()}
