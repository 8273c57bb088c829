"""The writing thread against real bags and a disk that fails."""

import threading
import time

import pytest

from dsad_core.errors import BagError
from dsad_metrics.bag_thread import BagThread
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.recording import Recording

TYPE = "std_msgs/msg/String"
DATA = b"\0\1\0\0\5\0\0\0text\0"


class SlowWriter(Recording):
    """Holds every message back until it is let go."""

    def __init__(self, path, go):
        super().__init__(path)
        self.go = go

    def write(self, topic, stamp_ns, data):
        self.go.wait()
        super().write(topic, stamp_ns, data)


class FullDisk(Recording):
    """Takes one message."""

    def write(self, topic, stamp_ns, data):
        if stamp_ns:
            raise OSError(28, "No space left on device")
        super().write(topic, stamp_ns, data)


def test_a_full_queue_drops_the_newest_and_says_so(tmp_path):
    go = threading.Event()
    thread = BagThread(lambda: SlowWriter(tmp_path / "bag", go), limit_bytes=4 * len(DATA))
    thread.types["/a"] = TYPE
    for stamp in range(20):
        thread.put("/a", stamp, DATA)
    go.set()
    thread.close()
    # One may have been on its way to the disk when the queue filled.
    assert thread.written in (4, 5)
    assert thread.written + thread.dropped == 20
    stamps = [stamp for _, stamp, _ in BagReader(tmp_path / "bag").messages(raw=True)]
    assert stamps == list(range(thread.written))


def test_a_failing_disk_ends_the_recording_and_keeps_what_was_written(tmp_path):
    thread = BagThread(lambda: FullDisk(tmp_path / "bag"), limit_bytes=1 << 20)
    thread.types["/a"] = TYPE
    for stamp in range(3):
        thread.put("/a", stamp, DATA)
    thread.close()
    assert "1 messages" in thread.outcome
    assert BagReader(tmp_path / "bag").info().notes == ()
    assert "No space left" in thread.failure
    assert sum(topic.count for topic in BagReader(tmp_path / "bag").topics()) == 1


def test_nothing_written_leaves_nothing(tmp_path):
    thread = BagThread(lambda: Recording(tmp_path / "bag"), 1 << 20)
    thread.close()
    assert "nothing was received" in thread.outcome
    assert list(tmp_path.iterdir()) == []


def test_a_bag_that_cannot_be_made_is_refused_at_once(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="exists already"):
        BagThread(lambda: Recording(tmp_path / "bag"), 1 << 20)


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_closing_writes_all_that_waits(tmp_path, count):
    thread = BagThread(lambda: Recording(tmp_path / "bag"), 1 << 20)
    thread.types["/a"] = TYPE
    for stamp in range(count):
        thread.put("/a", stamp, DATA)
    thread.close()
    assert thread.written == count


def test_what_was_put_is_on_the_disk_a_moment_later(tmp_path):
    """Read by another reader while the recording goes on: that is what a kill would leave."""
    thread = BagThread(lambda: Recording(tmp_path / "bag"), 1 << 20)
    thread.types["/a"] = TYPE
    end = time.monotonic() + 60.0
    for count in (1, 2):
        thread.put("/a", count, DATA)
        while (
            not list((tmp_path / "bag").glob("*.mcap")) or BagReader(tmp_path / "bag").info().messages < count
        ):
            assert time.monotonic() < end, "nothing more was put and nothing reached the disk"
            time.sleep(0.01)
    thread.close()
    assert BagReader(tmp_path / "bag").info().notes == ()
