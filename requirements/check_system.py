"""Say in one line what a fresh machine lacks, before anything is set up."""

import importlib.util
import platform
import shutil
import sys
import sysconfig
from pathlib import Path


def missing() -> list[str]:
    """Debian and Ubuntu package names of what is missing; empty when all is there."""
    packages = []
    for command, package in (("gcc", "gcc"), ("g++", "g++"), ("make", "make")):
        if shutil.which(command) is None:
            packages.append(package)
    if importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        packages.append("python3-dev")
    return packages


def main() -> int:
    if sys.version_info < (3, 11) or platform.machine() != "x86_64" or platform.system() != "Linux":
        print(
            f"This machine is {platform.system()} {platform.machine()} with Python {platform.python_version()}; "
            "the ROS 2 wheels need Linux x86-64 and Python 3.11 or newer. Elsewhere install ROS 2 from apt "
            "and build with `cd ros2_ws && colcon build` (README, On a robot).",
            file=sys.stderr,
        )
        return 1
    if packages := missing():
        print(
            f"Missing system packages. Install them: sudo apt install {' '.join(packages)}", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
