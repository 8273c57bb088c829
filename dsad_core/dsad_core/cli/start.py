"""The ``dsad`` command: one program, whose commands each installed package adds.

This package has the two that a robot needs, ``dsad doctor`` and ``dsad compile``. Every other command
is a plugin of its package (see `dsad_core.plugins`): ``dsad evaluate`` exists where the tools are
installed, ``dsad up`` where the ROS 2 laboratory is, ``dsad train`` where the training stage is.
"""

import os
import signal
import sys


def main() -> None:
    """Run the command line. A user's error is one line on stderr and exit status 2."""
    # The imports take a second on a small board, and a Ctrl-C amid them could end in any traceback.
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from rich.console import Console
    from rich.markup import escape

    from dsad_core.cli.commands import build_app
    from dsad_core.errors import DsadError

    signal.signal(signal.SIGINT, before)
    try:
        build_app()()
    except DsadError as error:
        Console(stderr=True, highlight=False).print(
            f"[bold red]dsad:[/] {escape(str(error))}", soft_wrap=True
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
