"""The report of a run: one JSON file and one HTML page that needs nothing beside it."""

from dsad_tools.report.build import build_report, write_json

__all__ = ["build_report", "write_json"]
