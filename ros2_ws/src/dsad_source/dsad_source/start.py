"""The executables; their modules are imported once signals are handled."""

from dsad_common.start import start


def frame_source() -> None:
    """Console script."""
    start("dsad_source.frame_source")


def bag_replay() -> None:
    """Console script."""
    start("dsad_source.bag_replay")
