import threading

import pytest

from dsad_detector.mailbox import Mailbox


def test_the_newest_item_wins_and_the_overwritten_one_is_reported():
    box = Mailbox()
    assert not box.put("old")
    assert box.put("new")
    assert box.take() == "new"
    assert not box.put("next")


def test_closing_wakes_the_taker_and_reports_what_was_waiting():
    box = Mailbox()
    taken = []
    taker = threading.Thread(target=lambda: taken.append(box.take()))
    taker.start()
    assert not box.close()
    taker.join(10.0)
    assert taken == [None]

    box = Mailbox()
    box.put(1)
    assert box.close()
    assert box.take() is None
    assert box.put(2), "a closed mailbox loses what is put"


@pytest.mark.parametrize("producers", [1, 3])
def test_under_load_every_item_is_taken_or_reported_lost(producers):
    box, each = Mailbox(), 20_000
    lost, taken = [0] * producers, []

    def produce(index: int) -> None:
        for number in range(each):
            lost[index] += box.put((index, number))

    def consume() -> None:
        while (item := box.take()) is not None:
            taken.append(item)

    consumer = threading.Thread(target=consume)
    threads = [threading.Thread(target=produce, args=(index,)) for index in range(producers)]
    for thread in (consumer, *threads):
        thread.start()
    for thread in threads:
        thread.join(30.0)
    left = box.close()
    consumer.join(30.0)

    assert not consumer.is_alive()
    assert len(taken) + sum(lost) + left == producers * each
    for index in range(producers):
        numbers = [number for producer, number in taken if producer == index]
        assert numbers == sorted(set(numbers)), "in order, none twice"
    if not left:
        assert taken[-1][1] == each - 1, "the newest is never lost"
