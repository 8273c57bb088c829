from pathlib import Path

import pytest
from dsad_core.errors import DsadError, EngineError, UsageError

from dsad_bringup.graph import PROFILE_VARIABLES, build_graph

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
