"""DSAD and nine other distillers, one file each.

A distiller is a module: built from one traced pass of student and teacher, which tells it the channel
counts it needs adapters for, and called with later passes. Its parameters go into the optimiser, never into
the student.
"""
