"""The executables; their modules are imported once signals are handled."""

from dsad_common.start import start


def await_answers() -> None:
    """Console script."""
    start("dsad_replay.await_answers")
