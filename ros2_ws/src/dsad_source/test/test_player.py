import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from dsad_source.player import TOLERANCE_NS, Player

MS = 1_000_000


class Simulation:
    """Drives a Player on a clock of its own: ``prepare`` is what making a frame costs."""

    def __init__(self, **options):
        self.now = 0
        self.player = Player(clock=lambda: self.now, **options)

    def send(self, at: int, key: int, prepare: int = 0, oversleep: int = 0) -> int | None:
        """When the frame goes out; None where only a command or an answer could release it."""
        self.now += prepare
        while (delay := self.player.delay(at, True, self.now)) != 0:
            if delay is None:
                return None
            self.now += delay + oversleep
        self.player.sending(at, key)
        return self.now


def test_frames_keep_their_distances_times_speed():
    simulation = Simulation(speed=2.0)
    times = [simulation.send(at, key) for key, at in enumerate((500, 700, 1300))]
    assert [t - times[0] for t in times] == [0, 100, 400]
    assert simulation.player.late == 0


def test_jitter_does_not_add_up():
    simulation = Simulation()
    times = [simulation.send(key * 10 * MS, key, oversleep=MS) for key in range(101)]
    assert times[-1] - times[0] <= 1001 * MS
    assert simulation.player.late == 0


def test_late_frame_goes_at_once_is_counted_and_moves_the_time_line():
    simulation = Simulation()
    simulation.send(0, 0)
    assert simulation.send(10 * MS, 1, prepare=55 * MS) == 55 * MS
    assert [simulation.send(key * 10 * MS, key) for key in (2, 3)] == [65 * MS, 75 * MS]
    assert simulation.player.late == 1


@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=60),
    st.integers(3, 20),
    st.sampled_from((0.5, 1.0, 4.0)),
)
def test_no_delay_ever_causes_a_burst(prepare_ms, period_ms, speed):
    simulation = Simulation(speed=speed)
    times = [simulation.send(key * period_ms * MS, key, cost * MS) for key, cost in enumerate(prepare_ms)]
    gap = round(period_ms * MS / speed)
    assert times == sorted(times)
    slack = max(gap, TOLERANCE_NS)
    for first in range(len(times)):
        for last in range(first, len(times)):
            # Between two frames passes the time that lies between them, but for one gap of lateness.
            assert times[last] - times[first] >= (last - first) * gap - slack


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40))
def test_frames_made_in_time_are_on_time(prepare_ms):
    simulation = Simulation()
    simulation.send(0, 0)
    for key, cost in enumerate(prepare_ms, start=1):
        assert simulation.send(key * 10 * MS, key, cost * MS) == key * 10 * MS
    assert simulation.player.late == 0


def test_paused_lets_nothing_pass_until_start():
    simulation = Simulation(paused=True)
    assert simulation.send(0, 0) is None
    simulation.now += 5000 * MS
    simulation.player.start()
    assert [simulation.send(0, 0), simulation.send(10 * MS, 1)] == [5000 * MS, 5010 * MS]
    simulation.player.pause()
    assert simulation.send(20 * MS, 2) is None
    simulation.now += 700 * MS
    simulation.player.start()
    assert [simulation.send(20 * MS, 2), simulation.send(30 * MS, 3)] == [5710 * MS, 5720 * MS]
    assert simulation.player.late == 0


def test_each_step_lets_one_frame_pass_at_once():
    simulation = Simulation()
    simulation.send(0, 0)
    simulation.player.step()
    simulation.player.step()
    assert simulation.send(1000 * MS, 1) == 0
    assert simulation.send(2000 * MS, 2) == 0
    assert simulation.send(3000 * MS, 3) is None
    simulation.player.step()
    simulation.player.pause()
    assert simulation.send(3000 * MS, 3) is None
    assert simulation.player.paused


def test_messages_of_the_stepped_frame_pass_and_later_ones_do_not():
    player = Player(paused=True)
    player.step()
    assert player.delay(10, False, 0) == 0
    player.sending(20, key=1)
    assert player.delay(20, False, 0) == 0
    assert player.delay(21, False, 0) is None


def test_lock_step_waits_for_the_answer_and_no_frame_is_late_for_it():
    simulation = Simulation(speed=None, window=1, timeout=1.0)
    simulation.send(0, key=7)
    assert simulation.player.delay(1, True, simulation.now) == 1000 * MS
    simulation.player.answer(99)
    assert simulation.player.delay(1, True, simulation.now) == 1000 * MS
    simulation.player.answer(7)
    assert simulation.player.delay(1, True, simulation.now) == 0
    assert (simulation.player.answered, simulation.player.unanswered) == (1, 0)


def test_paced_lock_step_keeps_to_the_slower_of_pace_and_answers():
    simulation = Simulation(window=1)
    player = simulation.player
    simulation.send(0, 0)
    player.answer(0)
    assert simulation.send(10 * MS, 1) == 10 * MS
    assert player.delay(20 * MS, True, simulation.now) > 0
    simulation.now += 500 * MS
    player.answer(1)
    assert simulation.send(20 * MS, 2) == 510 * MS
    player.answer(2)
    assert simulation.send(30 * MS, 3) == 520 * MS
    assert player.late == 0


@given(st.integers(1, 5), st.integers(6, 30))
def test_no_more_frames_than_the_window_are_unanswered(window, frames):
    simulation = Simulation(speed=None, window=window, timeout=3600.0)
    unanswered = []
    for key in range(frames):
        if len(unanswered) == window:
            assert simulation.player.delay(key, True, simulation.now) > 0
            simulation.player.answer(unanswered.pop(0))
        assert simulation.send(key, key) == simulation.now
        unanswered.append(key)
    assert simulation.player.frames == frames


def test_answers_that_never_come_are_given_up_and_counted_once():
    given_up = []
    simulation = Simulation(speed=None, window=1, timeout=0.5, on_unanswered=given_up.append)
    assert [simulation.send(key, key) for key in range(3)] == [0, 500 * MS, 1000 * MS]
    simulation.player.answer(0)
    assert (given_up, simulation.player.unanswered, simulation.player.answered) == ([0, 1], 2, 0)


def test_threads_wake_each_other():
    player = Player(speed=None, window=1, timeout=30.0)
    sent = []

    def sender():
        for key in range(200):
            if not player.wait_turn(key, frame=True):
                return
            player.sending(key, key)
            sent.append(key)
        player.wait_answers()

    thread = threading.Thread(target=sender)
    thread.start()
    deadline = time.monotonic() + 60
    for key in range(200):
        while len(sent) <= key and time.monotonic() < deadline:
            time.sleep(0)
        assert sent == list(range(key + 1))
        player.answer(key)
    thread.join(timeout=60)
    assert not thread.is_alive() and player.answered == 200


def test_stop_ends_every_wait():
    for waiting in (
        lambda player: player.wait_turn(0, True),
        lambda player: player.wait_start(),
        lambda player: player.sleep(60),
    ):
        player = Player(paused=True)
        results = []
        thread = threading.Thread(target=lambda: results.append(waiting(player)))
        thread.start()
        player.stop()
        thread.join(timeout=60)
        assert not thread.is_alive() and results in ([False], [None])
