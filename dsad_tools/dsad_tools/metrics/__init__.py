"""Figures of a run: the parts of a frame joined by stamp, records, pictures for the report."""
