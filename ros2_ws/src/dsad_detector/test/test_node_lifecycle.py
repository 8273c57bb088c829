"""Transitions driven from outside: refusals, engine swap, invalid requests, shutdown."""

import pytest
from detector_harness import scene
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


@pytest.fixture(scope="module")
def managed(start_for_module):
    """A detector that waits for its manager."""
    return start_for_module(autostart=False, frame_size="64x64")


def test_requests_that_the_state_does_not_allow_are_refused_and_survived(managed):
    client = managed.client
    assert client.state() == "unconfigured"
    for transition in (ACTIVATE, DEACTIVATE, CLEANUP, 99):
        assert not client.change_state(transition)
    assert client.state() == "unconfigured"
    assert client.frames.get_subscription_count() == 0
    assert managed.process.alive
    assert client.change_state(CONFIGURE)
    assert not client.change_state(CONFIGURE)
    assert client.state() == "inactive"


def test_the_engine_is_swapped_without_losing_the_process(managed):
    client = managed.client
    assert client.state() == "inactive"
    assert client.change_state(ACTIVATE)
    first = client.ask(client.image(scene(64, 64)[0], "mono8"))
    client.wait_for_status(lambda: client.fact("engine") == "local-contrast", "the first engine")

    assert client.set(engine="second") == ""
    client.ask(client.image(scene(64, 64)[0], "mono8"))
    client.wait_for_status(lambda: client.fact("engine") == "local-contrast", "the engine to stay until then")
    assert client.change_state(DEACTIVATE)
    client.wait(lambda: client.frames.get_subscription_count() == 0, "the subscription to end")
    assert client.change_state(CLEANUP)
    assert client.change_state(CONFIGURE)
    assert client.change_state(ACTIVATE)
    client.wait_for_detector()
    again = client.ask(client.image(scene(64, 64)[0], "mono8"))

    assert again.frames_received <= first.frames_received + 1, "counters start afresh"
    client.wait_for_status(lambda: client.fact("engine") == "second", "the second engine")
    assert client.fact("threshold") == "0.25"


def test_deactivation_under_load_stops_the_answers_and_activation_resumes_them(managed):
    client = managed.client
    for _ in range(3):
        for _ in range(20):
            client.frames.publish(client.image(scene(200, 200)[0], "mono8"))
        assert client.change_state(DEACTIVATE)
        assert client.change_state(ACTIVATE)
        client.wait_for_detector()
    timing = client.ask(client.image(scene(64, 64)[0], "mono8"))
    assert timing.frames_answered >= 1


def test_a_reliable_subscription_reports_a_best_effort_camera(managed):
    client = managed.client
    assert client.set(image_reliability="reliable") == ""
    assert "sometimes" in client.set(image_reliability="sometimes")
    assert client.change_state(DEACTIVATE) and client.change_state(ACTIVATE)
    camera = client.node.create_publisher(
        Image, "image_raw", QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    )
    client.wait_for_status(lambda: "QoS mismatch" in client.status.message, "the QoS mismatch")
    assert "/image_raw" in client.status.message and "RELIABILITY" in client.status.message
    client.node.destroy_publisher(camera)
    client.wait_for_status(lambda: "QoS mismatch" not in client.status.message, "the mismatch to end")
    client.ask(client.image(scene(64, 64)[0], "mono8"))


def test_shutdown_finalises_and_the_process_ends_with_zero(managed):
    client = managed.client
    assert client.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert client.state() == "finalized"
    assert managed.process.interrupt() == 0
    assert "Traceback" not in managed.process.log()


def test_simulated_time_that_stands_still_does_not_hold_up_the_start(start):
    one = start(use_sim_time=True, frame_size="64x64")
    one.client.wait_for_detector()
    one.client.ask(one.client.image(scene(64, 64)[0], "mono8"))
    one.client.wait_for_status(lambda: one.client.fact("state") == "active", "a status")


def test_engines_that_cannot_run_are_refused_with_the_reason_until_one_can(start):
    one = start(engine="nonexistent", frame_size="64x64")
    client = one.client
    client.wait_for_status(lambda: "no engine 'nonexistent'" in client.status.message, "the missing engine")
    assert client.status.level == b"\x02"
    client.wait(lambda: client.state() == "unconfigured", "the end of the transition")

    for parameters, reason in [
        ({"engine": "tampered"}, "SHA-256"),
        ({"engine": "local-contrast", "target": "ascend"}, "target ascend cannot run"),
    ]:
        assert client.set(**parameters) == ""
        assert not client.change_state(CONFIGURE)
        assert client.state() == "unconfigured"
        client.wait_for_status(lambda: reason in client.status.message, reason)

    assert client.set(target="cpu") == ""
    assert client.change_state(CONFIGURE)
    assert client.change_state(ACTIVATE)
    client.wait_for_detector()
    frame = client.image(scene(64, 64)[0], "mono8")
    client.ask(frame)
    client.publish_until(
        frame,
        lambda: client.status.level == b"\x00" and client.fact("state") == "active",
        "a status without fault",
    )

    # SIGINT while frames come in
    for _ in range(30):
        client.frames.publish(client.image(scene(256, 256)[0], "mono8"))
    assert one.process.interrupt() == 0
    assert "Traceback" not in one.process.log()


@pytest.mark.parametrize(
    "parameters, text",
    [
        ({"threshold": 1.5}, "threshold"),
        ({"target": "toaster"}, "toaster"),
        ({"frame_size": "big"}, "'big'"),
        ({"value_range_low": 10.0, "value_range_high": 5.0}, "value_range_low 10.0"),
    ],
)
def test_a_bad_value_at_start_ends_in_one_line_and_status_2(start, parameters, text):
    process = start(**parameters).process
    assert process.wait() == 2
    lines = process.log().splitlines()
    assert len(lines) == 1 and text in lines[0]
