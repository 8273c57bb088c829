"""What every source of frames shares: start, pace, lock-step, services, diagnostics, end."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.task import Future
from std_srvs.srv import Trigger

from dsad_common import topics
from dsad_common.diagnostics import ERROR, OK, WARN, Diagnostics
from dsad_common.events import QosWatch
from dsad_common.parameters import Parameter, declare
from dsad_common.qos import reliable
from dsad_common.stamps import stamp_ns
from dsad_core.errors import UsageError
from dsad_msgs.msg import FrameTiming, TrackArray
from dsad_source.listeners import Listeners
from dsad_source.player import Player
from dsad_source.prefetch import Prefetch

_READ_AHEAD = 8  # items; bounds memory with large frames, covers disk and decoder hiccups
_BUMP_LIMIT = 1_000_000_000
_WINDOW_LIMIT = 64
#: Seconds that the sending thread may take to end; it can be in the middleware, the reading one in a decoder.
_END_SECONDS = 0.5

COMMON = (
    Parameter("loop", False, "Begin again at the end."),
    Parameter("limit", 0, "Frames to send in all, 0 for no limit.", minimum=0, unit="frames"),
    Parameter(
        "lock_step",
        False,
        "Hold each frame back until the one before is answered on 'timing', and on 'tracks' where tracks follow.",
    ),
    Parameter(
        "lock_step_window",
        1,
        "Frames that may be unanswered at a time in lock-step.",
        minimum=1,
        maximum=_WINDOW_LIMIT,
        unit="frames",
    ),
    Parameter(
        "lock_step_timeout",
        10.0,
        "How long an answer may take before it is given up.",
        minimum=0.01,
        maximum=3600.0,
        unit="s",
    ),
    Parameter(
        "wait_for_subscribers",
        30.0,
        "How long to wait for listeners before the first frame. Then it "
        "begins without them, but in lock-step ends with status 2. 0: don't wait; in lock-step, wait "
        "for ever.",
        minimum=0.0,
        maximum=86400.0,
        unit="s",
    ),
    Parameter(
        "wait_for",
        [""],
        "Nodes of this namespace, or full names, that must listen before the first frame; "
        "empty: anybody on 'image_raw'.",
    ),
    Parameter("start_paused", False, "Wait for ~/start or ~/step before the first frame."),
    Parameter("exit_when_done", False, "End the process, with status 0, behind the last frame."),
    Parameter(
        "linger",
        1.0,
        "How long to stay behind the last frame, for its delivery and answer.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    ),
    Parameter(
        "reliability",
        "reliable",
        "Of 'image_raw'; best_effort never matches reliable subscribers.",
        choices=("reliable", "best_effort"),
    ),
)


@dataclass(frozen=True)
class Item:
    """One thing to send at media time ``at`` (nanoseconds); ``frame`` says whether it holds a frame."""

    at: int
    frame: bool
    content: Any


class SourceNode(Node):
    """Base of the sources. A subclass opens its data, then calls ``begin``.

    Subclasses give ``items()``, ``stamp(item)``, the key by which a frame's answer is known, and
    ``send(item, stamp)``.

    Attributes:
        qos_watch: makes the publishers, so that subscribers they do not match are told of.
        live: whether frames are made while they are sent: nothing is read ahead, nobody is waited for.
        hung: a thread could not be ended. See ``run_node``.
    """

    live = False

    def __init__(self, table: tuple[Parameter, ...]):
        super().__init__("source")
        declare(self, COMMON + table)
        self.done = Future()
        self.qos_watch = QosWatch(self, self.get_logger().warning)
        self.state = "starting"
        self.hung = False
        self.player: Player
        self._frame_publisher = None
        self._last_stamp = 0
        self._seen = (0, time.monotonic(), 0)
        self._untracked: OrderedDict[int, None] = OrderedDict()  # answered frames, with the tracker
        self._tracked: deque[int] = deque(maxlen=_WINDOW_LIMIT)
        self._reading: Prefetch | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def value(self, name: str) -> Any:
        """A parameter's value."""
        return self.get_parameter(name).value

    def items(self) -> Iterator[Item]:
        """Everything to send, in order, across loops; run by a reading thread unless ``live``."""
        raise NotImplementedError

    def stamp(self, item: Item) -> int:
        """The stamp of a frame that is about to go out, nanoseconds."""
        raise NotImplementedError

    def send(self, item: Item, stamp: int) -> None:
        """Publish it."""
        raise NotImplementedError

    def trouble(self) -> str | None:
        """What is wrong with the data now, in one line."""
        return None

    def facts(self) -> dict[str, object]:
        """What /diagnostics should say beside the counters."""
        return {}

    def frame_qos(self) -> QoSProfile:
        """Quality of service of the frames."""
        qos = reliable(10)
        if self.value("reliability") == "best_effort":
            qos.reliability = QoSReliabilityPolicy.BEST_EFFORT
        return qos

    def begin(self, frame_publisher, companions: list, speed: float | None, source: str) -> None:
        """Start to send.

        Args:
            frame_publisher: the publisher of the frames.
            companions: the publishers of what goes with them.
            speed: media seconds a second, None for as fast as answers (or the camera) allow.
            source: what the data are, for diagnostics.
        """
        lock_step = self.value("lock_step")
        self._frame_publisher = frame_publisher
        self.player = Player(
            speed,
            self.value("lock_step_window") if lock_step else 0,
            self.value("lock_step_timeout"),
            self.value("start_paused"),
            self._on_unanswered,
        )
        if lock_step:
            self.create_subscription(FrameTiming, topics.TIMING, self._on_timing, reliable(50))
            self.create_subscription(TrackArray, topics.TRACKS, self._on_tracks, reliable(50))
        self._listeners = Listeners(
            self, frame_publisher, companions, lock_step, [name for name in self.value("wait_for") if name]
        )
        for verb in ("start", "pause", "step"):
            self.create_service(Trigger, f"~/{verb}", getattr(self, f"_on_{verb}"))
        self._diagnostics = Diagnostics(self, self._report, hardware_id=source)
        self._thread.start()

    def close(self) -> None:
        """Stop sending and let files and devices go."""
        self.player.stop()
        if self._reading:
            self.hung = not self._reading.close()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)
            self.hung = self.hung or self._thread.is_alive()

    def now_unique(self) -> int:
        """Now, on the ROS clock, never twice: stamps are what frames and answers are joined by."""
        now = self.get_clock().now().nanoseconds
        # A clock that stands still (simulated time not yet begun) or steps back a little repeats
        # itself; one that jumps back far was set, and is followed.
        if 0 <= self._last_stamp - now < _BUMP_LIMIT:
            now = self._last_stamp + 1
        self._last_stamp = now
        return now

    def _run(self) -> None:
        try:
            # The first frames may take seconds to make or to read, as listeners take to be found.
            self._read_ahead()
            if self._await_listeners():
                while self._play() and self._finish():
                    self._read_ahead()
        except Exception as error:
            # After SIGINT publishers are gone below our feet; that is no error.
            if self.context.ok():
                self.done.set_exception(error)

    def _await_listeners(self) -> bool:
        self.state = "waiting for subscribers"
        lock_step = self.value("lock_step")
        patience = 0.0 if self.live else self.value("wait_for_subscribers")
        missing = self._listeners.wait(
            patience, forever=lock_step and patience == 0, stopped=lambda: self.player.stopped
        )
        if missing is None:
            return not self.player.stopped
        if lock_step:
            raise UsageError(
                f"lock-step: {missing} within {patience:g} s; start the detector, or raise "
                "wait_for_subscribers."
            )
        if patience:
            self.get_logger().warning(f"{missing} within {patience:g} s: begins without")
        return True

    def _read_ahead(self) -> None:
        self._reading = None if self.live else Prefetch(self.items(), _READ_AHEAD)

    def _play(self) -> bool:
        try:
            for item in self._reading or self.items():
                self.state = "playing"
                if not self.player.wait_turn(item.at, item.frame):
                    return False
                stamp = self.stamp(item)
                if item.frame:
                    self.player.sending(item.at, stamp)
                self.send(item, stamp)
        finally:
            if self._reading:
                self._reading.close()
        return self.player.wait_answers()

    def _finish(self) -> bool:
        """Behind the last frame: leave, or wait to be started again."""
        self.state = "end of data"
        counts = f"{self.player.frames} frames, {self.player.late} late"
        if self.value("lock_step"):
            counts += f", {self.player.unanswered} unanswered"
        self.get_logger().info(f"end of data: {counts}")
        if not self.value("exit_when_done"):
            self.player.pause()
            return self.player.wait_start()
        deadline = time.monotonic() + self.value("linger")
        self._listeners.wait_delivered(self.value("linger"))
        self.player.sleep(deadline - time.monotonic())
        self.done.set_result(0)
        return False

    def _on_timing(self, timing: FrameTiming) -> None:
        stamp = stamp_ns(timing.header.stamp)
        if stamp in self._tracked:
            self._tracked.remove(stamp)
        elif timing.tracks_follow:
            self._untracked[stamp] = None
            return
        self.player.answer(stamp)

    def _on_tracks(self, tracks: TrackArray) -> None:
        """Tracks of a frame show that the tracker is done with it, and passed over those before it."""
        stamp = stamp_ns(tracks.header.stamp)
        if stamp not in self._untracked:
            self._tracked.append(stamp)  # they overtook the frame's timing on their way
        while stamp in self._untracked:
            self.player.answer(self._untracked.popitem(last=False)[0])

    def _on_unanswered(self, stamp: int) -> None:
        self.get_logger().warning(
            f"lock-step: frame {stamp / 1e9:.9f} was not answered within "
            f"{self.value('lock_step_timeout'):g} s; going on"
        )

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.player.start()
        return self._answer(response, "playing")

    def _on_pause(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.player.pause()
        return self._answer(response, "paused")

    def _on_step(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.player.step()
        return self._answer(response, "one frame, then paused")

    def _answer(self, response: Trigger.Response, message: str) -> Trigger.Response:
        response.success, response.message = True, f"{message}; {self.player.frames} frames so far"
        return response

    def _report(self) -> tuple[bytes, str, dict[str, object]]:
        frames, problems = self.player.frames, self.player.late + self.player.unanswered
        before, then, problems_before = self._seen
        now = time.monotonic()
        self._seen = (frames, now, problems)
        state = "paused" if self.state == "playing" and self.player.paused else self.state
        facts = {
            "state": state,
            "frames published": frames,
            "rate [Hz]": f"{(frames - before) / max(now - then, 1e-3):.1f}",
            "late frames": self.player.late,
            "unanswered frames": self.player.unanswered,
            "subscribers": self._frame_publisher.get_subscription_count(),
            **self.facts(),
        }
        if trouble := self.trouble():
            return ERROR, trouble, facts
        if problems > problems_before:
            return WARN, f"{state}; {problems - problems_before} frames late or unanswered just now", facts
        if mismatches := self.qos_watch.mismatches():
            return WARN, "; ".join(mismatches), facts
        return OK, state, facts
