"""A researcher's look at engines: thresholds, pictures side by side, failures worst first."""

from dsad_core.analysis.study import Study, analyse
from dsad_core.analysis.write import write_study

__all__ = ["Study", "analyse", "write_study"]
