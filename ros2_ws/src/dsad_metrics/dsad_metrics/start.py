"""The executables; their modules are imported once signals are handled."""

from dsad_common.start import start


def metrics() -> None:
    """Console script."""
    start("dsad_metrics.node")


def recorder() -> None:
    """Console script."""
    start("dsad_metrics.recorder")
