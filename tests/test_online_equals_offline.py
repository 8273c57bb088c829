"""The counts of a live run and of an offline evaluation of the same frames are equal as integers."""

import json
import subprocess

import pytest

ENGINE = "dsad-num4-field"  # the one that knows generated scenes
FRAMES = 40
COUNTS = (
    "frames",
    "targets",
    "hits",
    "predictions",
    "false_targets",
    "false_pixels",
    "pixels",
    "intersection",
    "union",
)


#: Nothing is dropped in lock-step, so only a loaded machine could make a frame late.
PATIENT = "/**/metrics:\n  ros__parameters:\n    join_timeout: 120.0\n"


def run(*command, timeout=240):
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}"
    return result


def live_run(bag, out, *arguments):
    """A run in lock-step; what it counted."""
    parameters = out.with_suffix(".yaml")
    parameters.write_text(PATIENT)
    given = [f"engine:={ENGINE}", "source:=bag", f"bag:={bag}", "lock_step:=true", f"output:={out}"]
    run("dsad", "up", *given, f"params_file:={parameters}", *arguments)
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("storage", "dtype", "size", "matching"),
    [("mcap", "uint8", "256x256", "nearest"), ("sqlite3", "uint16", "200x312", "dnanet")],
)
def test_counts_are_equal(tmp_path, storage, dtype, size, matching):
    bag, out = tmp_path / "bag", tmp_path / "live"
    run(
        "dsad",
        "bag",
        "make",
        "synthetic",
        bag,
        "--frames",
        str(FRAMES),
        "--size",
        size,
        "--dtype",
        dtype,
        "--seed",
        "11",
        "--storage",
        storage,
    )
    online = live_run(bag, out, f"matching:={matching}")
    run("dsad", "evaluate", ENGINE, bag, "--matching", matching, "--json", tmp_path / "offline.json")

    offline = json.loads((tmp_path / "offline.json").read_text())
    assert {key: online["metrics"][key] for key in COUNTS} == {key: offline["metrics"][key] for key in COUNTS}
    assert online["metrics"]["frames"] == FRAMES
    # A comparison of zeros would prove nothing.
    assert online["metrics"]["hits"] > 0 and online["metrics"]["intersection"] > 0
    assert online["counters"]["frames_missed"] == 0


def test_counts_of_tracks_are_equal(tmp_path):
    """A panning camera that corrects itself: tracks end, coast and switch, and some frames are no scene."""
    run(
        *("dsad", "scenes", tmp_path / "scenes", "--count", "1", "--frames", "100", "--size", "256x192"),
        *("--pan", "2", "--correction-s", "1.5", "--seed", "10"),
    )
    (scene,) = (tmp_path / "scenes").iterdir()
    bag, out = tmp_path / "bag", tmp_path / "live"
    run("dsad", "bag", "make", scene, bag)
    online = live_run(bag, out)
    run("dsad", "evaluate", ENGINE, bag, "--tracks", "--json", tmp_path / "offline.json")

    offline = json.loads((tmp_path / "offline.json").read_text())
    for part in ("tracks", "kinds", "motion_failures", "mot"):
        assert online["tracks"][part] == offline[part], part
    counts = online["tracks"]["tracks"]
    assert counts["points"] > counts["covered"] > 0 and counts["tracks"] > 1
    assert min(online["tracks"]["kinds"].values()) > 0
    assert online["counters"]["frames_without_tracks"] == 0
    assert (out / "tracks.html").is_file()
