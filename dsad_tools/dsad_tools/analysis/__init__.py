"""A researcher's look at engines: thresholds, pictures side by side, failures worst first."""

from dsad_tools.analysis.study import EngineStudy, Study, analyse
from dsad_tools.analysis.write import write_study

__all__ = ["EngineStudy", "Study", "analyse", "write_study"]
