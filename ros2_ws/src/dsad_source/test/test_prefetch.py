import threading
import time

import pytest

from dsad_source.prefetch import Prefetch


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_gives_every_item_in_order():
    assert list(Prefetch(range(1000), depth=3)) == list(range(1000))


def test_reads_no_further_ahead_than_depth():
    made = []
    reading = Prefetch((made.append(n) or n for n in range(100)), depth=4)
    # Four are ready and the fifth is in the reader's hand.
    wait_until(lambda: len(made) == 5)
    assert next(reading) == 0
    wait_until(lambda: len(made) == 6)
    reading.close()
    assert len(made) == 6


def test_error_comes_behind_the_items_before_it():
    def broken():
        yield 1
        raise OSError("disk gone")

    reading = Prefetch(broken(), depth=4)
    assert next(reading) == 1
    with pytest.raises(OSError, match="disk gone"):
        next(reading)


def test_close_ends_generator_in_its_own_thread_and_frees_the_reader():
    closed_by = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed_by.append(threading.current_thread().name)

    reading = Prefetch(endless(), depth=2)
    next(reading)
    assert reading.close()
    assert closed_by == ["prefetch"]
    assert list(reading) == []


def test_a_read_that_hangs_does_not_hold_up_close():
    goes_on = threading.Event()

    def hanging():
        yield goes_on.wait()

    reading = Prefetch(hanging(), depth=2)
    assert not reading.close()
    goes_on.set()
