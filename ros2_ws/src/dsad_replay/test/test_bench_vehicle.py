"""``dsad bench drivers``, ``footprint`` and ``exits``: short runs of the real thing."""

import json
import signal
import subprocess

import pytest
from conftest import DSAD

from dsad_replay.bench import exits
from dsad_replay.bench.drivers import Outcome, _measure, _table
from dsad_replay.bench.launched import bench_graph


def bench(*options):
    return subprocess.run([*DSAD, "bench", *options], capture_output=True, text=True, timeout=300)


def test_every_frame_of_a_driver_is_received_or_counted(tmp_path):
    graph = bench_graph({"engine": "local-contrast"})
    outcome = _measure(graph, tmp_path, "stock, reliable", False, "reliable", "64x48@50", 10)
    assert outcome.sent == 10 and 0 < outcome.answered <= outcome.received
    assert outcome.received == outcome.answered + outcome.dropped + outcome.refused
    # Only frames before the first one that came are in no count.
    assert 0 <= outcome.uncounted < 10


def test_what_was_never_counted_has_a_column():
    outcome = Outcome("stock, best effort", "640x512@30", 150, 42, 40, 2, 0, 107, "")
    assert (
        outcome.uncounted == 1 and [column.header for column in _table([outcome]).columns][-1] == "uncounted"
    )


def test_memory_and_cpu_of_every_node(tmp_path):
    result = bench(*("footprint", "--engine", "local-contrast", "--seconds", "1", "--output", str(tmp_path)))
    assert result.returncode == 0, result.stderr
    nodes = {node["node"]: node for node in json.loads((tmp_path / "footprint.json").read_text())["nodes"]}
    assert set(nodes) == {"source", "detector"}
    assert all(node["rss_mib"] > 10 and node["cpu"] >= 0 for node in nodes.values())


def test_how_a_node_ends():
    found = exits.measure("metrics", exits.NETWORK, signal.SIGTERM, "local-contrast")
    assert (found.status, found.traceback, found.orphans) == (0, False, 0)
    assert found.report == 0 and found.bag is None and found.seconds > 0


def test_how_nobody_ends_is_one_line_and_status_2():
    result = bench("exits", "--only", "nobody")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and "nobody" in result.stderr


@pytest.mark.parametrize("size", ["640x512", "640@30", "640x512@0"])
def test_a_bad_size_is_one_line_and_status_2(size):
    result = bench("drivers", "--sizes", size)
    assert (
        result.returncode == 2
        and len(result.stderr.splitlines()) == 1
        and size.split("@")[0] in result.stderr
    )
