"""For tests: ROS domains that nobody else uses meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

_whole_process = contextlib.ExitStack()


def isolate(checkout: Path) -> None:
    """Keep this process and those it starts to themselves until it ends; before ``rclpy.init``.

    Args:
        checkout: root of the repository, whose DDS profile lets large frames pass.
    """
    os.environ.update(_whole_process.enter_context(own_domain()))
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        os.environ[variable] = str(checkout / "launch" / "fastdds.xml")


@contextlib.contextmanager
def own_domain() -> Iterator[dict[str, str]]:
    """Environment variables of a ROS domain that no other test of this user has, in whatever process.

    Raises:
        RuntimeError: tests have all domains.
    """
    folder = Path(tempfile.gettempdir(), f"dsad-test-domains-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    # At random: what the last test of a domain started may still be on its way out. Above 101 a domain's ports are
    # among those that Linux hands out to anybody.
    for domain in random.sample(range(1, 102), 101):
        with open(folder / str(domain), "w") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
            return
    raise RuntimeError(f"the ROS domains 1 to 101 are all in use by tests; see {folder}")
