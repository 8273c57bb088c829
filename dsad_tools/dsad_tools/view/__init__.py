"""Frames, answers and tracks in a viewer, while they are made."""
