from pathlib import Path

import pytest

from dsad_bringup.graph import PROFILE_VARIABLES, build_graph
from dsad_core.errors import DsadError, EngineError, UsageError

ENGINE = "local-contrast"
SHARE = Path("/installed/share/dsad_bringup")


def graph(**given):
    return build_graph({"engine": ENGINE, **given}, SHARE)


def test_it_is_the_detector_alone_and_waits_for_nobody():
    (detector,) = graph().nodes
    assert detector.full_name == "/irst/detector"
    assert "wait_for" not in detector.parameters


def test_without_a_name_the_engine_is_the_one_for_cameras(monkeypatch):
    asked = []
    monkeypatch.setattr("dsad_bringup.graph.find_engine", lambda name: asked.append(name))
    monkeypatch.setattr("dsad_bringup.graph.load_manifest", lambda folder: None)
    build_graph({}, SHARE)
    assert asked == ["camera"]


def test_to_build_the_engine_takes_its_builder_alone():
    built = graph(build_only="true", backend="onnxruntime")
    assert built.nodes == (built.builder,) and built.builder.executable == "build_engine"


def test_fast_dds_gets_the_profile_unless_the_user_has_one(monkeypatch):
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert graph().environment == dict.fromkeys(PROFILE_VARIABLES, str(SHARE / "config" / "fastdds.xml"))
    monkeypatch.setenv(PROFILE_VARIABLES[1], "/etc/my.xml")
    assert graph().environment == {}


def with_file(tmp_path, text, **given):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return build_graph({"params_file": str(path), **given}, SHARE, outer="/left")


@pytest.mark.parametrize("key", ["/**", "/**/detector", "/left/irst/detector", "/*/*/detector"])
def test_the_parameter_file_counts_where_no_argument_is_given(tmp_path, key):
    text = f"{key}:\n  ros__parameters: {{engine: {ENGINE}, target: cpu, autostart: false}}\n"
    (detector,) = with_file(tmp_path, text).nodes
    assert detector.parameters == {}
    (detector,) = with_file(tmp_path, text.replace(ENGINE, "nobody"), engine=ENGINE, target="cpu").nodes
    assert Path(detector.parameters["engine"]).name == ENGINE and detector.parameters["target"] == "cpu"


def test_a_file_of_another_node_says_nothing_to_the_detector(tmp_path):
    (detector,) = with_file(
        tmp_path, "/right/irst/detector:\n  ros__parameters: {engine: nobody}\n", engine=ENGINE
    ).nodes
    assert Path(detector.parameters["engine"]).name == ENGINE


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "/**/detector: 5", "/**/detector:\n  ros__parameters: 5", ""]
)
def test_a_file_that_is_no_parameter_file_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(UsageError, match="mine.yaml") as caught:
        with_file(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_the_laboratory_comes_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("dsad_bringup.graph.plugins", lambda kind: {})
    with pytest.raises(UsageError, match="build dsad_replay") as caught:
        graph(source="camera")
    assert "source:=camera" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="metrics:=true"):
        graph(metrics="true")


def test_the_detector_is_started_again_unless_told_not_to():
    assert graph().respawn and graph().respawn_delay == 1.0
    assert not graph(respawn="false").respawn and not graph(build_only="true").respawn


@pytest.mark.parametrize(
    ("given", "error", "complaint"),
    [
        ({"threshold": "1"}, UsageError, "threshold:=1"),
        ({"namespace": "/a b"}, UsageError, "namespace:=/a b"),
        ({"params_file": "/no/such.yaml"}, UsageError, "/no/such.yaml"),
        ({"engine": "no-such-engine"}, EngineError, "no-such-engine"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line_before_anything_starts(given, error, complaint):
    with pytest.raises(DsadError, match=complaint) as caught:
        graph(**given)
    assert isinstance(caught.value, error) and "\n" not in str(caught.value)
