"""Bags around tracks, on real files."""

import pytest

from dsad_core.errors import BagError
from dsad_metrics.bag_thread import BagThread
from dsad_metrics.event_bags import EventBags
from dsad_msgs.msg import Track
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.recording import Recording

TYPE = "std_msgs/msg/String"
DATA = b"\0\1\0\0\5\0\0\0text\0"
SECOND = 10**9
START = 1_700_000_000 * SECOND


@pytest.fixture
def make(tmp_path):
    def build(event="confirmed", before=2.0, after=1.0, limit=1 << 20):
        bags = EventBags(
            tmp_path / "events",
            lambda path: BagThread(lambda: Recording(path), 1 << 20),
            event,
            before,
            after,
            limit,
            latched=["/engine"],
        )
        bags.types |= {"/a": TYPE, "/engine": TYPE}
        return bags

    return build


def play(bags, seconds, tracks=lambda at: [], hz=10):
    """A message each tenth of a second, and the tracks of that moment."""
    for index in range(round(seconds * hz)):
        at = index / hz
        bags.put("/a", START + round(at * SECOND), DATA)
        bags.take_tracks(tracks(at), START + round(at * SECOND))


def recorded(folder):
    """Seconds of the messages on /a, by the end of the bag's name."""
    found = {}
    for path in sorted(folder.iterdir()):
        times = [stamp for topic, stamp, _ in BagReader(path).messages(raw=True) if topic == "/a"]
        found[path.name.split("-")[1]] = [round((time - START) / SECOND, 3) for time in times]
    return found


def confirmed(number, motion=Track.STILL, state=Track.CONFIRMED):
    return Track(id=number, state=state, motion=motion)


def test_a_bag_holds_the_seconds_around_its_track_and_what_is_latched(make, tmp_path):
    bags = make()
    bags.put("/engine", START - 60 * SECOND, DATA)
    play(bags, 20, lambda at: [confirmed(7)] if 5.0 <= at < 19 else [confirmed(7, state=Track.TENTATIVE)])
    bags.close()
    found = recorded(tmp_path / "events")
    assert list(found) == ["track7"], "a track that stays makes one bag"
    assert (found["track7"][0], found["track7"][-1], len(found["track7"])) == (3.0, 6.0, 31)
    (bag,) = (tmp_path / "events").iterdir()
    assert [topic for topic, _, _ in BagReader(bag).messages(raw=True)][0] == "/engine"
    assert bags.outcome.startswith("wrote 1 bags") and bags.written == 32 and not bags.dropped


def test_a_track_that_comes_up_meanwhile_prolongs_the_bag_and_a_later_one_gets_its_own(make, tmp_path):
    bags = make(before=0.5)
    born = {1: 3.0, 2: 3.5, 3: 10.0}
    play(bags, 15, lambda at: [confirmed(n) for n, begin in born.items() if begin <= at < begin + 0.4])
    bags.close()
    found = recorded(tmp_path / "events")
    assert [(name, times[0], times[-1]) for name, times in found.items()] == [
        ("track1", 2.5, 4.5),
        ("track3", 9.5, 11.0),
    ]


def test_moving_waits_until_the_track_moves(make, tmp_path):
    bags = make("moving", before=0.0)
    play(bags, 10, lambda at: [confirmed(1, Track.MOVING if at >= 4 else Track.UNKNOWN), confirmed(2)])
    bags.close()
    found = recorded(tmp_path / "events")
    assert list(found) == ["track1"] and found["track1"][0] == 4.0


def test_a_detector_that_starts_again_counts_anew(make, tmp_path):
    bags = make(before=0.0, after=0.5)
    play(bags, 10, lambda at: [] if 4 <= at < 6 else [confirmed(1)])
    bags.close()
    assert len(list((tmp_path / "events").iterdir())) == 2


def test_memory_is_bounded_and_nothing_is_written_without_a_track(make, tmp_path):
    bags = make(before=600.0, limit=10 * len(DATA))
    play(bags, 30)
    assert bags.queued_bytes == 10 * len(DATA)
    bags.close()
    assert not (tmp_path / "events").exists() and bags.outcome.startswith("wrote 0 bags")


def test_a_folder_that_cannot_be_made_is_told(make, tmp_path):
    (tmp_path / "events").write_text("in the way")
    bags = make()
    play(bags, 1, lambda at: [confirmed(1)])
    assert "events" in bags.failure
    with pytest.raises(BagError):
        Recording(tmp_path / "events" / "x")
