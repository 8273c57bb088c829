"""Proofs of `dsad prove` with real nodes."""
