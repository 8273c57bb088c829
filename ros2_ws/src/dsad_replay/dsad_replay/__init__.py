"""Evaluated runs: frames from any source, the detector, live figures, a recorded bag and a report."""
