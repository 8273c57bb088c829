"""Throughput of training, beside a loop as the published scripts have it."""
