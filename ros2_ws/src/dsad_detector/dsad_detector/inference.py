"""The one thread that answers frames: decode, detect, publish."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

import rclpy

from dsad_core.detector import Detector
from dsad_core.engines.progress import Cancelled, Progress, listen
from dsad_core.errors import DsadError, FrameError, NotFiniteError, unexpected
from dsad_core.frame.timing import FrameTimes
from dsad_core.overlay import draw_overlay
from dsad_detector.camera_info_buffer import CameraInfoBuffer
from dsad_detector.counters import Counters
from dsad_detector.frames import decode_frame
from dsad_detector.mailbox import Mailbox
from dsad_detector.messages import frame_timing, image_message, target_array
from dsad_detector.throttled_warnings import ThrottledWarnings
from dsad_detector.tracking import Answer, TrackingThread
from dsad_detector.watch import FrameWatch

#: A runtime that has not answered after so many seconds has hung.
STOP_TIMEOUT = 20.0
#: Seconds the executor rests after it handed a frame over. Its next round is Python, which would
#: compete with the decoding of that frame for the interpreter; during inference it is free. Takes a
#: quarter of a millisecond off the time from receipt to publication.
HANDOVER = 0.001


class Publisher(Protocol):
    """The part of an rclpy publisher that is needed here."""

    def publish(self, message) -> None: ...

    def get_subscription_count(self) -> int: ...


@dataclass(frozen=True)
class Outputs:
    """Where the answers go, in this order."""

    mask: Publisher
    targets: Publisher
    timing: Publisher
    overlay: Publisher


class InferenceThread:
    """Takes frames from a mailbox until it is stopped.

    A second thread would add jitter, not speed: rclpy holds the interpreter lock while it takes and
    publishes, and the runtimes under the engines use all their cores for one frame.

    Args:
        detector: used by this thread only, but for its threshold.
        outputs: publishers; rclpy's may be used from any thread.
        camera: asked for bearings.
        counters: this thread writes ``answered``, ``refused``, ``late`` and ``targets_cut``.
        warnings: gets what is refused.
        deadline_ms: an answer that took longer from callback to publication is counted; 0 is off.
        watch: marks frames that show no scene; None looks at none.
        tracking: gets each answer after it is out; None for nobody.
    """

    def __init__(
        self,
        detector: Detector,
        outputs: Outputs,
        camera: CameraInfoBuffer,
        counters: Counters,
        warnings: ThrottledWarnings,
        deadline_ms: float,
        watch: FrameWatch | None = None,
        tracking: TrackingThread | None = None,
    ):
        self.detector = detector
        self.deadline_ms = deadline_ms
        self._outputs = outputs
        self._camera = camera
        self._counters = counters
        self._warnings = warnings
        self._watch = watch or FrameWatch(None)
        self._tracking = tracking
        # A build for a frame of another size takes minutes: it is reported, and ends with the thread.
        self._task = Progress(lambda step: warnings.report("build", step))
        self._mailbox: Mailbox[tuple[object, int]] = Mailbox()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def put(self, message, received: int) -> None:
        """Hand over a frame; an older one that still waits is counted as dropped.

        Args:
            message: sensor_msgs/Image.
            received: steady clock, nanoseconds.
        """
        if self._mailbox.put((message, received)):
            self._counters.dropped += 1
        time.sleep(HANDOVER)

    def stop(self) -> None:
        """Finish the frame in hand, unless an engine is being built for it, and end the thread.

        Raises:
            TimeoutError: the engine hangs; the thread is left behind and still uses it.
        """
        if self._mailbox.close():
            self._counters.dropped += 1
        self._task.cancelled.set()
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            raise TimeoutError(
                f"engine {self.detector.engine.manifest.name} has not answered for "
                f"{STOP_TIMEOUT:.0f} s: restart the node"
            )

    def _run(self) -> None:
        with listen(self._task):
            self._answer_all()

    def _answer_all(self) -> None:
        while (item := self._mailbox.take()) is not None:
            message, received = item
            try:
                self._answer(message, received)
            except FrameError as error:
                self._refuse(error.reason, message, str(error))
            except Cancelled as error:
                self._counters.refused["engine"] += 1
                self._warnings.report("build", f"frame {message.width}x{message.height}: {error}")
            except NotFiniteError as error:
                self._refuse("not_finite", message, str(error))
            except DsadError as error:
                self._refuse("engine", message, str(error))
            except Exception as error:
                if not rclpy.ok():
                    return  # the context is already shut down: nothing can be published any more
                # Whatever a runtime throws, the next frame may be fine.
                self._refuse("engine", message, unexpected(error))

    def _answer(self, message, received: int) -> None:
        started = time.monotonic_ns()
        frame = decode_frame(message)
        decoded = time.monotonic_ns()
        header, outputs = message.header, self._outputs
        detection, kind = self._watch.refuse(self.detector.detect, frame, header, received)

        outputs.mask.publish(image_message(header, detection.mask, "mono8"))
        bearings = self._camera.bearings(detection.targets, *detection.mask.shape, header.stamp)
        targets = target_array(header, detection, bearings)
        waits = self._tracking is not None and self._tracking.target_ids
        if not waits:
            outputs.targets.publish(targets)
        times = FrameTimes(
            received,
            started,
            decoded,
            detection.preprocess_end_ns,
            detection.inference_end_ns,
            detection.postprocess_end_ns,
            time.monotonic_ns(),
        )
        self._counters.answered += 1
        if detection.targets_cut:
            self._counters.targets_cut += detection.targets_cut
            self._warnings.report(
                "targets",
                f"{len(detection.targets) + detection.targets_cut} targets in one frame, the best "
                f"{len(detection.targets)} are listed (max_targets)",
            )
        self._check_deadline(times)
        timing = frame_timing(header, times, self._counters)
        timing.tracks_follow = self._tracking is not None
        outputs.timing.publish(timing)
        if kind is None:
            kind = self._watch.look(frame, header, received)
        if self._tracking is not None:
            # The engine overwrites its logits with the next frame, which may come before the tracker is done.
            self._tracking.put(
                Answer(
                    header,
                    frame,
                    detection.targets,
                    detection.mask,
                    detection.logits.copy(),
                    self.detector.threshold,
                    kind,
                    received,
                    targets if waits else None,
                    self.detector.score,
                )
            )

        # Last, so that watching the picture does not delay the answer it shows.
        if outputs.overlay.get_subscription_count() > 0:
            picture = draw_overlay(frame, detection.mask, detection.targets, self.detector.value_range)
            outputs.overlay.publish(image_message(header, picture, "bgr8"))

    def _check_deadline(self, times: FrameTimes) -> None:
        took = (times.published - times.received) / 1e6
        if 0.0 < self.deadline_ms < took:
            self._counters.late += 1
            self._warnings.report(
                "deadline",
                f"deadline missed: {took:.1f} ms from receipt to publication, "
                f"allowed are {self.deadline_ms:g} ms",
            )

    def _refuse(self, reason: str, message, text: str) -> None:
        self._counters.refused[reason] += 1
        self._warnings.report(
            reason, f"frame {message.width}x{message.height} '{message.encoding}' refused: {text}"
        )
