"""The program ``dsad``: a Ctrl-C while its commands are imported leaves no traceback."""

import importlib
import os
import signal


def main() -> None:
    """Console script. The imports take a second on a small board."""
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    app = importlib.import_module("dsad_core.cli.app")
    signal.signal(signal.SIGINT, before)
    app.main()
