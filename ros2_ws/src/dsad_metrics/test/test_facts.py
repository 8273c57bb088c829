"""What the neighbours state of a run."""

from dsad_metrics.facts import RunningNodes
from dsad_msgs.msg import EngineInfo, SourceInfo

GIVEN = {"engine": "given", "target": "cuda", "source": "bag x", "split": "", "split_hash": ""}


def test_what_nodes_state_goes_before_parameters():
    nodes = RunningNodes()
    assert nodes.facts(GIVEN, {}).engine == "given" and nodes.facts(GIVEN, {}).threshold is None
    nodes.take_engine(
        EngineInfo(
            name="num4", threshold=0.5, platform="cpu", sha256="ab", precision="fp32", self_test="good"
        )
    )
    nodes.take_source(SourceInfo(name="NUDT-SIRST", split="test", split_hash="badb90"))
    facts = nodes.facts(GIVEN, {"cpu": "c"})
    assert (facts.engine, facts.threshold, facts.platform, facts.engine_sha256) == ("num4", 0.5, "cpu", "ab")
    assert (facts.precision, facts.self_test) == ("fp32", "good")
    assert (facts.source, facts.split, facts.split_hash) == ("NUDT-SIRST", "test", "badb90")


def test_an_engine_that_is_gone_or_refused_leaves_the_one_that_ran():
    nodes = RunningNodes()
    nodes.take_engine(EngineInfo(refusal="no engine 'x'"))
    assert nodes.facts(GIVEN, {}).platform == "cuda" and nodes.notes() == []
    nodes.take_engine(EngineInfo(name="num4", threshold=0.5))
    nodes.take_engine(EngineInfo())
    assert nodes.facts(GIVEN, {}).engine == "num4" and nodes.notes() == []


def test_a_changed_threshold_is_noted_until_the_next_run():
    nodes = RunningNodes()
    for threshold in (0.5, 0.5, 0.3):
        nodes.take_engine(EngineInfo(name="num4", threshold=threshold))
    (note,) = nodes.notes()
    assert "num4 at 0.5, then num4 at 0.3" in note
    nodes.restart()
    assert nodes.notes() == []
    nodes.take_engine(EngineInfo(name="num4", threshold=0.3))
    assert nodes.notes() == []
