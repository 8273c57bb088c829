"""`dsad prove` with real nodes, in its smallest form."""

from dataclasses import replace

import pytest

from dsad_replay.prove import faults, soak
from dsad_tools.prove.proof import Setting, run


@pytest.mark.parametrize("proof", [soak.prove, faults.prove], ids=["soak", "faults"])
def test_a_proof_holds(proof, tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "RUNS", (((64, 64), 100, 100), ((640, 512), 40, 40)))
    monkeypatch.setattr(faults, "LEAST", 12)
    checks = list(run("proof", proof, Setting(tmp_path, "local-contrast", share=1e-9)))
    assert [check for check in checks if check.passed is False] == []
    assert all(check.count for check in checks if check.passed)


def blocks(rss=1.0, spent=1.0, p99=1.0, waited=0.0, frames=soak.JUDGED_FRAMES):
    """40 blocks; of the last quarter each figure is that many times the one before, ``waited`` the share of all."""
    usual = soak.Block(200 << 20, 1.5, 2.0 * waited, 2.0, 4.0, frames)
    changed = soak.Block(int(rss * (200 << 20)), 1.5 * spent, 2.0 * waited, 2.0, 4.0 * p99, frames)
    return [usual] * 30 + [changed] * 10


@pytest.mark.parametrize(
    "run, passed, says",
    [
        (blocks(), True, "p99 4.00 to 4.00 ms (waited for processors 0 and 0 % of the time)"),
        (blocks(rss=1.04), False, "(+4.00 %)"),
        (blocks(rss=1.015), False, "(+1.50 %)"),
        (blocks(rss=1.015, frames=100), True, "(+1.50 %)"),  # 3 MiB: buffers of a short run
        (blocks(spent=1.3), False, "processor time a frame +30.0 %"),
        (blocks(p99=1.3), False, "p99 4.00 to 5.20 ms"),
        (blocks(p99=1.3, waited=0.2), False, "20 and 20 %"),  # equal load is no excuse
        (blocks(p99=9.0, waited=0.9), True, "90 and 90 % of the time: not judged"),
        (blocks(p99=9.0, waited=float("inf")), True, "not judged"),
        (blocks(p99=9.0, frames=100), True, "too short to judge"),
    ],
)
def test_a_drift_is_seen_and_other_load_is_none(run, passed, says):
    assert soak.judge(run)[0] is passed and says in soak.judge(run)[1]


def test_blocks_under_load_say_nothing_of_the_latency():
    loaded = soak.Block(200 << 20, 1.5, 1.0, 2.0, 90.0, soak.JUDGED_FRAMES)

    def under_load(run):
        return [loaded if number % 2 else each for number, each in enumerate(run)]

    passed, seen = soak.judge(under_load(blocks(p99=1.3)))
    assert not passed and "p99 4.00 to 5.20 ms (waited for processors 0 and 0 %" in seen
    assert soak.judge(under_load(blocks()))[0]
    # Load that comes in the end and stays.
    passed, seen = soak.judge(blocks()[:30] + 10 * [replace(loaded, waited=0.8)])
    assert passed and "0 and 40 % of the time: not judged" in seen
