"""The executables; their modules are imported once signals are handled."""

from dsad_common.start import start


def build_engine() -> None:
    """Console script."""
    start("dsad_detector.build_engine")


def detector() -> None:
    """Console script."""
    start("dsad_detector.node")
