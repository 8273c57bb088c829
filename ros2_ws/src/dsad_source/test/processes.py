"""Sources as processes of their own, and a node that listens to them."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from dsad_common.qos import newest, reliable
from dsad_common.stamps import stamp_ns
from dsad_common.testing import NodeClient, NodeProcess
from dsad_msgs.msg import FrameTiming, TargetArray


class Source(NodeProcess):
    """``frame_source`` or ``bag_replay`` with parameters; a context that ends the process."""

    def __init__(self, executable: str, namespace: str = "/irst", **parameters):
        parameters = {"exit_when_done": True, "linger": 0.1} | parameters
        self._folder = TemporaryDirectory()
        super().__init__("dsad_source", executable, namespace, Path(self._folder.name) / "log", **parameters)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.end()
        self._folder.cleanup()

    def result(self) -> tuple[int, str]:
        """Exit status of a process that ends by itself, and everything it said."""
        return self.wait(), self.log()


class Sink(NodeClient):
    """A node ``listener`` in ``/irst`` that keeps what it hears, and may answer frames."""

    def __init__(self):
        super().__init__("/irst", "listener")
        self.heard: dict[str, list] = {}

    def state_for_people(self) -> object:
        return {topic: len(heard) for topic, heard in self.heard.items()}

    def listen(self, message: type, topic: str, qos=None, raw: bool = False) -> list:
        heard = self.heard[topic] = []
        self.node.create_subscription(message, topic, heard.append, qos or reliable(1000), raw=raw)
        return heard

    def listen_to_inputs(self, truth: type = Image) -> tuple[list, list, list]:
        """Images, camera infos and truths."""
        name = "ground_truth_targets" if truth is TargetArray else "ground_truth"
        return (
            self.listen(Image, "image_raw"),
            self.listen(CameraInfo, "camera_info"),
            self.listen(truth, name),
        )

    def answer_frames(self, seconds: float = 0.0, answers=lambda count: True) -> list[Image]:
        """Be a detector: best effort, newest only, ``seconds`` for each frame that it answers."""
        frames = []
        timing = self.node.create_publisher(FrameTiming, "timing", reliable(50))

        def detect(frame: Image) -> None:
            frames.append(frame)
            time.sleep(seconds)
            if answers(len(frames)):
                timing.publish(FrameTiming(header=frame.header))

        self.node.create_subscription(Image, "image_raw", detect, newest())
        return frames

    def spin_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)

    def spin_to_end(self, source: Source) -> tuple[int, str]:
        """Listen until the source has ended, and to what is still on its way."""
        self.wait(lambda: not source.alive, "the end of the source")
        self.spin_for(0.2)
        return source.result()

    def order(self, verb: str) -> str:
        """Call a service of the source; what it says."""
        answer = self.call(Trigger, f"source/{verb}")
        assert answer.success
        return answer.message


def stamps(messages) -> list[int]:
    return [stamp_ns(message.header.stamp) for message in messages]
