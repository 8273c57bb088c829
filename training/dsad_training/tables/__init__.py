"""The paper's result tables: its figures, the recipes of its rows, and what was reached here."""
