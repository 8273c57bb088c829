import contextlib
import os
import subprocess
import sys
import tempfile

import pytest

from dsad_common.isolation import own_domain

HOLD = """
from dsad_common.isolation import own_domain
with own_domain() as variables:
    print(variables["ROS_DOMAIN_ID"], flush=True)
    input()
"""


def all_that_are_free() -> set[str]:
    """Takes every domain, and gives them back."""
    domains: list[str] = []
    with contextlib.ExitStack() as held, pytest.raises(RuntimeError, match="in use by tests"):
        while True:
            domains.append(held.enter_context(own_domain())["ROS_DOMAIN_ID"])
    assert len(domains) == len(set(domains))
    return set(domains)


def test_each_domain_is_one_test_s_until_it_ends(monkeypatch, tmp_path):
    # Other tests that run now keep theirs.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    everything = {str(domain) for domain in range(1, 102)}
    assert all_that_are_free() == everything
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        taken = other.stdout.readline().strip()
        assert taken and all_that_are_free() == everything - {taken}
    finally:
        other.kill()
        other.communicate()
    assert all_that_are_free() == everything
