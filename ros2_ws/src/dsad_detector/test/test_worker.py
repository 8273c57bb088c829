import threading

import pytest

from dsad_detector.worker import Worker


def test_a_task_runs_beside_the_caller_and_wakes_it_when_done():
    woken, go = threading.Event(), threading.Event()
    worker = Worker(woken.set)
    future = worker.run(lambda: go.wait(60) and "done")
    assert not future.done() and not worker.join(0.0)
    go.set()
    assert woken.wait(60) and future.result() == "done" and worker.join(60)


def test_what_a_task_raises_is_the_futures():
    worker = Worker(lambda: None)
    future = worker.run(lambda: 1 / 0)
    assert worker.join(60)
    with pytest.raises(ZeroDivisionError):
        future.result()
