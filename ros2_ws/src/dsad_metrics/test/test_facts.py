"""What the neighbours' diagnostics tell of a run."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from dsad_metrics.facts import RunningNodes

GIVEN = {"engine": "given", "target": "cuda", "source": "bag x", "split": "", "split_hash": ""}


def status(name: str, **values: str) -> DiagnosticArray:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticArray(status=[DiagnosticStatus(name=name, values=pairs)])


def test_diagnostics_go_before_parameters():
    nodes = RunningNodes("/irst", "detector")
    assert nodes.facts(GIVEN, {}).engine == "given" and nodes.facts(GIVEN, {}).threshold is None
    nodes.take(status("irst/detector", engine="num4", threshold="0.5", target="cpu", engine_sha256="ab"))
    nodes.take(status("irst/source", data_set="NUDT-SIRST", split="test", split_hash="badb90"))
    nodes.take(status("other/detector", engine="foreign", threshold="0.9"))
    facts = nodes.facts(GIVEN, {"cpu": "c"})
    assert (facts.engine, facts.threshold, facts.target, facts.engine_sha256) == ("num4", 0.5, "cpu", "ab")
    assert (facts.source, facts.split, facts.split_hash) == ("NUDT-SIRST", "test", "badb90")


def test_an_inactive_detector_says_nothing_of_the_engine():
    nodes = RunningNodes("/", "detector")
    nodes.take(status("detector", state="unconfigured"))
    assert nodes.facts(GIVEN, {}).target == "cuda" and nodes.notes() == []


def test_a_changed_threshold_is_noted_until_the_next_run():
    nodes = RunningNodes("/irst", "detector")
    for threshold in ("0.5", "0.5", "0.3"):
        nodes.take(status("irst/detector", engine="num4", threshold=threshold))
    (note,) = nodes.notes()
    assert "num4 at 0.5, then num4 at 0.3" in note
    nodes.restart()
    assert nodes.notes() == []
    nodes.take(status("irst/detector", engine="num4", threshold="0.3"))
    assert nodes.notes() == []
