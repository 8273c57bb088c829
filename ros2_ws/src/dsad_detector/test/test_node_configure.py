"""Configuring in a worker: the node answers meanwhile, a signal ends it, and frame sizes are prepared."""

import signal

import pytest
from detector_harness import DetectorProcess, scene
from lifecycle_msgs.msg import Transition

from dsad_common.qos import latched
from dsad_common.testing import wait_until

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


def test_while_an_engine_is_built_services_parameters_and_diagnostics_are_answered(start, building):
    building.hold()
    one = start(building.environment, engine=building.engine, autostart=False, frame_size="80x64")
    client = one.client
    answer = client.begin_transition(CONFIGURE)
    client.wait(lambda: building.builds, "the build to begin")
    assert client.state() == "configuring"
    assert not client.change_state(CONFIGURE), "a second request is refused, not queued"
    assert client.set(deadline_ms=40.0) == "" and "deadline" in client.set(deadline_ms=-1.0)
    client.wait_for_status(
        lambda: client.status.message == "configuring: building for 80x64, step 3 of 7", "the progress"
    )
    assert not answer.done()
    building.go()
    client.wait(answer.done, "the transition to end")
    assert answer.result().success and client.state() == "inactive"
    client.wait(lambda: client.engine is not None, "the engine's description")
    assert (client.engine.width, client.engine.height, client.engine.any_size) == (80, 64, False)
    assert building.builds == ["80x64"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_build(start, building, number):
    building.hold()
    one = start(building.environment, engine=building.engine, frame_size="80x64")
    one.client.wait(lambda: building.builds, "the build to begin")
    assert one.process.interrupt(number) == 0
    assert "Traceback" not in one.process.log() and "ERROR" not in one.process.log()


def test_a_build_that_cannot_be_ended_does_not_hold_the_process(start, building):
    building.hold()
    deaf = building.environment | {"BUILDING_DEAF": "1"}
    one = start(deaf, engine=building.engine, frame_size="80x64")
    one.client.wait(lambda: building.builds, "the build to begin")
    assert one.process.interrupt(signal.SIGTERM) == 0
    assert "Traceback" not in one.process.log() and "ends while configuring" in one.process.log()


def test_a_size_that_is_not_prepared_is_refused_and_the_good_one_goes_on(start, building):
    building.hold()
    building.go()
    one = start(building.environment, engine=building.engine, frame_size="80x64")
    client = one.client
    client.wait_for_detector()
    client.ask(client.image(scene(64, 80)[0], "mono8"))
    odd = client.image(scene(64, 64)[0], "mono8")
    client.publish_until(odd, lambda: client.fact("refused_size_not_prepared"), "the refusal")
    client.publish_until(odd, lambda: "not for 64x64" in client.status.message, "the warning")
    assert client.status.level == b"\x01"
    timing = client.ask(client.image(scene(64, 80)[0], "mono8"))
    assert timing.frames_refused >= 1 and building.builds == ["80x64"]


def test_on_demand_two_sizes_that_alternate_are_built_once_each(start, building):
    building.hold()
    building.go()
    one = start(building.environment, engine=building.engine, frame_size="80x64", build_on_demand=True)
    client = one.client
    client.wait_for_detector()
    for size in [(64, 80), (64, 64)] * 3:
        client.ask(client.image(scene(*size)[0], "mono8"))
    assert building.builds == ["80x64", "64x64"]
    assert client.engine.any_size


def test_a_build_in_flight_ends_with_deactivate(start, building):
    building.hold()
    building.go()
    one = start(building.environment, engine=building.engine, frame_size="80x64", build_on_demand=True)
    client = one.client
    client.wait_for_detector()
    building.hold()
    client.publish_until(
        client.image(scene(64, 64)[0], "mono8"), lambda: building.builds, "the build to begin"
    )
    client.wait_for_status(lambda: "building for 64x64" in client.status.message, "the progress")
    assert client.change_state(DEACTIVATE)
    assert client.counters.frames_answered == 0
    building.go()
    assert client.change_state(ACTIVATE)
    client.wait_for_detector()
    client.ask(client.image(scene(64, 80)[0], "mono8"))


def test_without_a_size_the_first_frame_tells_it_before_the_node_is_active(start, building):
    building.hold()
    building.go()
    one = start(building.environment, engine=building.engine)
    client = one.client
    client.wait_for_status(lambda: "waiting for the first frame on" in client.status.message, "the wait")
    assert client.state() == "configuring"
    client.publish_until(client.image(scene(64, 96)[0], "mono8"), lambda: building.builds, "the build")
    client.wait(lambda: client.engine is not None, "the engine")
    assert building.builds == ["96x64"] and (client.engine.width, client.engine.height) == (96, 64)
    client.ask(client.image(scene(64, 96)[0], "mono8"))


def test_a_signal_ends_the_wait_for_the_first_frame(start, building):
    one = start(building.environment, engine=building.engine)
    one.client.wait_for_status(lambda: "waiting for the first" in one.client.status.message, "the wait")
    assert one.process.interrupt(signal.SIGTERM) == 0
    assert "Traceback" not in one.process.log()


def test_the_description_of_the_engine_follows_threshold_and_lifecycle(start):
    one = start(frame_size="64x64")
    client = one.client
    client.wait_for_detector()
    client.wait(lambda: client.engine is not None, "the description")
    info = client.engine
    assert (info.name, info.network, info.platform, info.backend) == (
        "local-contrast",
        "local-contrast",
        "cpu",
        "onnxruntime",
    )
    assert len(info.sha256) == 64 and info.precision == "fp32" and info.any_size and info.refusal == ""
    assert any(entry.startswith("direct: ") for entry in info.passed_over)
    assert not info.self_test_ran and "no reference" in info.self_test
    assert client.set(threshold=0.9) == ""
    client.wait(lambda: client.engine.threshold == 0.9, "the new threshold")
    assert client.change_state(DEACTIVATE) and client.change_state(CLEANUP)
    client.wait(lambda: client.engine.name == "", "the engine to go")
    assert client.set(engine="tampered") == ""
    assert not client.change_state(CONFIGURE)
    client.wait(lambda: "SHA-256" in client.engine.refusal, "the refusal")
    # A subscriber that comes late learns the same.
    late = []
    client.node.create_subscription(type(client.engine), "engine", late.append, latched())
    client.wait(lambda: late, "the latched description")
    assert late[0].refusal == client.engine.refusal


def test_the_builder_builds_and_ends_and_a_signal_ends_it(ros, building, tmp_path):
    building.hold()
    arguments = {"engine": building.engine, "frame_size": "80x64"}
    ended = DetectorProcess("/b", tmp_path / "ended.txt", building.environment, "build_engine", **arguments)
    wait_until(lambda: building.builds)
    assert ended.interrupt(signal.SIGTERM) == 0
    building.hold()
    building.go()
    whole = DetectorProcess("/b", tmp_path / "whole.txt", building.environment, "build_engine", **arguments)
    assert whole.wait(60) == 0
    assert building.builds == ["80x64"] and "ready at 80x64" in whole.log()
    refused = DetectorProcess("/b", tmp_path / "no.txt", None, "build_engine", engine="nobody")
    assert refused.wait(60) == 2
    for process in (ended, whole, refused):
        assert "Traceback" not in process.log()
    assert "no engine 'nobody'" in refused.log()
