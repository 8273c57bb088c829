from dsad_detector.counters import Counters, DropShare


def test_lost_is_the_larger_of_the_two_counts():
    assert Counters(activated=1, lost_by_number=3, lost_by_transport=70).lost == 70
    assert Counters(activated=1, lost_by_number=30, lost_by_transport=0).lost == 30


def test_the_share_of_drops_is_that_of_the_newest_seconds():
    drops, counters = DropShare(seconds=5.0), Counters(activated=0)
    assert drops.look(0.0, counters) == 0.0
    counters.received, counters.dropped = 9, 9
    assert drops.look(1.0, counters) == 0.0, "too few to say anything"
    counters.received, counters.dropped = 40, 38
    assert drops.look(2.0, counters) == 38 / 40
    for second in range(3, 12):
        counters.received += 30
        share = drops.look(float(second), counters)
    assert share == 0.0, "the camera is slower now"


def test_a_new_activation_starts_afresh():
    drops = DropShare()
    drops.look(0.0, Counters(activated=0))
    assert drops.look(1.0, Counters(activated=0, received=100, dropped=100)) == 1.0
    assert drops.look(2.0, Counters(activated=5, received=1)) == 0.0
