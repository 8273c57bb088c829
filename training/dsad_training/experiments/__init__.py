"""A queue of trainings that the paper's tables are made of, and the one CSV that it fills."""
