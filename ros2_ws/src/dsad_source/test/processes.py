"""Sources as processes of their own, and a node that listens to them."""

import signal
import subprocess
import sys
import time

from dsad_common.qos import newest, reliable
from dsad_common.stamps import stamp_ns
from dsad_msgs.msg import FrameTiming, TargetArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

PATIENCE = 60.0


class Source:
    """``frame_source`` or ``bag_replay`` with parameters; a context that ends the process."""

    def __init__(self, executable: str, namespace: str = "/irst", **parameters):
        parameters = {"exit_when_done": True, "linger": 0.1} | parameters
        arguments = ["--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ["-p", f"{name}:={text}"]
        code = f"from dsad_source.{executable} import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.communicate()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Exit status and everything it said."""
        output, _ = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, output


class Sink:
    """A node ``listener`` in ``/irst`` that keeps what it hears, and may answer frames."""

    def __init__(self):
        self.node = Node("listener", namespace="/irst")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.heard: dict[str, list] = {}
        self._timing = None

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

    def spin_until(self, condition, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, {topic: len(heard) for topic, heard in self.heard.items()}
            self._executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)

    def spin_to_end(self, source: Source) -> tuple[int, str]:
        """Listen until the source has ended, and to what is still on its way."""
        self.spin_until(lambda: not source.running)
        self.spin_for(0.2)
        return source.end()

    def call(self, verb: str) -> str:
        client = self.node.create_client(Trigger, f"source/{verb}")
        self.spin_until(client.service_is_ready)
        future = client.call_async(Trigger.Request())
        self.spin_until(future.done)
        self.node.destroy_client(client)
        assert future.result().success
        return future.result().message

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()


def stamps(messages) -> list[int]:
    return [stamp_ns(message.header.stamp) for message in messages]
