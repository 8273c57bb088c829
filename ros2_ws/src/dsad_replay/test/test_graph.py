import shutil
from pathlib import Path

import pytest

from dsad_bringup.graph import PROFILE_VARIABLES
from dsad_core.engines.locate import find_engine
from dsad_core.errors import BagError, DsadError, EngineError, PlatformError, UsageError
from dsad_metrics import ros2_bag
from dsad_replay.graph import build_replay_graph
from dsad_tools.bags.write import BagWriter
from dsad_tools.scenes.generator import SceneGenerator

ENGINE = "local-contrast"
SHARE = Path("/installed/share/dsad_bringup")


@pytest.fixture(autouse=True)
def no_profile_of_the_user(monkeypatch):
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def graph(**given):
    return build_replay_graph({"engine": ENGINE, **given}, SHARE)


def node(built, name):
    return next(spec for spec in built.nodes if spec.name == name)


def test_without_a_source_the_users_driver_feeds_the_detector():
    built = graph()
    assert [spec.full_name for spec in built.nodes] == ["/irst/detector", "/irst/metrics"]
    assert built.source is None and not built.source_ends


@pytest.mark.parametrize(
    ("source", "engine"),
    [("none", "for-cameras"), ("camera", "for-cameras"), ("synthetic", "for-cameras"), ("dataset", ENGINE)],
)
def test_the_engine_is_the_one_for_such_a_source(source, engine, tmp_path, monkeypatch):
    shutil.copytree(find_engine(ENGINE), tmp_path / "for-cameras")
    (tmp_path / "CAMERA").write_text("for-cameras")
    (tmp_path / "DEFAULT").write_text(ENGINE)
    monkeypatch.setenv("DSAD_ENGINES", str(tmp_path))
    built = build_replay_graph(
        {"source": source, "path": str(tmp_path) if source == "dataset" else ""}, SHARE
    )
    assert Path(node(built, "detector").parameters["engine"]).name == engine


def test_every_frame_is_answered_unless_the_parameter_file_says_otherwise(tmp_path):
    assert node(graph(), "detector").parameters["frame_monitor"] == "mark"
    (tmp_path / "own.yaml").write_text("/irst/detector:\n  ros__parameters:\n    frame_monitor: refuse\n")
    built = graph(params_file=str(tmp_path / "own.yaml"))
    assert "frame_monitor" not in node(built, "detector").parameters


@pytest.mark.parametrize(("installed", "recorder"), [(False, "recorder"), (True, "/rosbag2_recorder")])
def test_the_source_stops_first_and_waits_for_whoever_listens(tmp_path, monkeypatch, installed, recorder):
    """Where ``ros2 bag record`` is installed its node listens in the recorder's place."""
    monkeypatch.setattr(ros2_bag, "installed", lambda: installed)
    built = graph(source="synthetic", limit="30", record=str(tmp_path / "bag"))
    assert [spec.name for spec in built.nodes] == ["source", "detector", "recorder", "metrics"]
    assert built.source.parameters["wait_for"] == ["detector", recorder, "metrics"]
    assert node(built, "detector").parameters["wait_for"] == [recorder, "metrics"]
    assert built.source_ends


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        ({"source": "synthetic"}, False),
        ({"source": "synthetic", "limit": "5"}, True),
        ({"source": "camera"}, False),
        ({"source": "camera", "limit": "5"}, True),
        ({"source": "folder"}, True),
        ({"source": "folder", "loop": "true"}, False),
        ({"source": "folder", "loop": "true", "limit": "5"}, True),
    ],
)
def test_which_sources_come_to_an_end(tmp_path, given, ends):
    if given["source"] == "folder":
        given = given | {"path": str(tmp_path)}
    assert graph(**given).source_ends is ends


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / "flight"
    with BagWriter(path, namespace="/uav/thermal") as writer:
        for sample in SceneGenerator(64, 64, frames=2):
            writer.write(sample)
    return path


def test_a_replayed_bag_gives_the_time_and_takes_it_from_the_wall(bag):
    built = graph(source="bag", bag=str(bag), use_sim_time="true", rate="2")
    assert built.source.executable == "bag_replay"
    assert built.source.parameters["bag"] == str(bag)
    assert built.source.parameters["clock"] and not built.source.parameters["use_sim_time"]
    assert built.source.parameters["rate"] == 2.0
    assert all(spec.parameters["use_sim_time"] for spec in built.nodes if spec is not built.source)


def test_the_frames_of_a_bag_are_found_whatever_their_topic(bag):
    assert graph(source="bag", bag=str(bag)).source.parameters["image_topic"] == "/uav/thermal/image_raw"
    named = graph(source="bag", bag=str(bag), image_topic="/uav/thermal/image_raw").source
    assert "image_topic" not in named.parameters
    assert named.remappings == (("image_raw", "/uav/thermal/image_raw"),)


def test_a_topic_of_frames_that_the_bag_lacks_is_refused_by_name(bag):
    with pytest.raises(UsageError, match="image_topic:=/nope.*/uav/thermal/image_raw"):
        graph(source="bag", bag=str(bag), image_topic="/nope")


def test_what_is_no_bag_is_refused(tmp_path):
    with pytest.raises(BagError, match=str(tmp_path)):
        graph(source="bag", bag=str(tmp_path))


def test_a_camera_is_named_by_its_device():
    parameters = graph(source="camera", path="0").source.parameters
    assert parameters["device"] == "0" and "path" not in parameters


def test_a_password_of_a_camera_reaches_the_source_alone():
    built = graph(source="camera", path="rtsp://user:secret@10.0.0.9/ir")
    assert node(built, "metrics").parameters["source"] == "camera rtsp://***@10.0.0.9/ir"
    assert "secret" in built.source.parameters["device"]


def test_what_is_not_given_is_left_to_the_parameter_file():
    built = graph(source="synthetic")
    assert "rate" not in built.source.parameters
    assert "threshold" not in node(built, "detector").parameters
    assert built.params_file == SHARE / "config" / "params.yaml"


def test_namespace_and_topics_reach_every_node():
    built = graph(namespace="uav1/irst/", image_topic="/camera/image")
    assert {spec.full_name for spec in built.nodes} == {"/uav1/irst/detector", "/uav1/irst/metrics"}
    assert all(spec.remappings == (("image_raw", "/camera/image"),) for spec in built.nodes)
    assert node(graph(namespace="/"), "metrics").full_name == "/metrics"


def test_paths_hold_wherever_a_node_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    built = graph(output="out", record="out/bag")
    assert built.output == tmp_path / "out"
    assert node(built, "recorder").parameters["bag"] == str(tmp_path / "out" / "bag")


def test_fast_dds_gets_the_profile_unless_the_user_has_one(monkeypatch):
    assert graph().environment == dict.fromkeys(PROFILE_VARIABLES, str(SHARE / "config" / "fastdds.xml"))
    monkeypatch.setenv(PROFILE_VARIABLES[0], "/etc/my.xml")
    assert graph().environment == {}


def test_to_build_the_engine_takes_its_builder_alone():
    built = graph(build_only="true", backend="onnxruntime", source="synthetic")
    assert built.nodes == (built.builder,) and built.builder.full_name == "/irst/detector"
    assert built.builder.executable == "build_engine" and built.builder.parameters["backend"] == "onnxruntime"


@pytest.mark.parametrize(
    ("given", "error", "complaint"),
    [
        ({"source": "bag"}, UsageError, "needs bag:="),
        ({"source": "folder"}, UsageError, "needs path:="),
        ({"source": "folder", "path": "/no/such"}, UsageError, "/no/such"),
        ({"bag": "/tmp"}, UsageError, "source:=bag"),
        ({"source": "synthetic", "path": "/tmp"}, UsageError, "path:=/tmp"),
        ({"source": "camera", "lock_step": "true"}, UsageError, "lock_step"),
        ({"threshold": "1"}, UsageError, "threshold:=1"),
        ({"namespace": "/a b"}, UsageError, "namespace:=/a b"),
        ({"params_file": "/no/such.yaml"}, UsageError, "/no/such.yaml"),
        ({"record": "/tmp"}, UsageError, "exists"),
        ({"engine": "no-such-engine"}, EngineError, "no-such-engine"),
        ({"backend": "magic"}, UsageError, "'magic'"),
        ({"target": "ascend"}, PlatformError, "Ascend NPU driver"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line_before_anything_starts(given, error, complaint):
    if error is PlatformError and Path("/dev/davinci_manager").exists():
        pytest.skip("this machine has an Ascend NPU")
    with pytest.raises(DsadError, match=complaint) as caught:
        graph(**given)
    assert isinstance(caught.value, error) and "\n" not in str(caught.value)


def test_an_engine_that_was_tampered_with_is_refused(tmp_path):
    engine = tmp_path / "engine"
    engine.mkdir()
    for file in find_engine(ENGINE).iterdir():
        (engine / file.name).write_bytes(file.read_bytes())
    with open(engine / "model.onnx", "ab") as stream:
        stream.write(b"x")
    with pytest.raises(EngineError, match="model.onnx"):
        graph(engine=str(engine))
