from dsad_common.diagnostics import ERROR, OK, WARN
from dsad_detector.counters import Counters
from dsad_detector.status import DetectorStatus


def health(**changes) -> DetectorStatus:
    counters = changes.pop("counters", Counters(activated=0, received=12, answered=10, dropped=2))
    usual = {
        "state": "active",
        "fault": "",
        "detector": None,
        "counters": counters,
        "topic": "/irst/image_raw",
        "publishers": ["/irst/camera"],
        "silence": 0.1,
        "stale_timeout": 2.0,
        "warnings": {},
    }
    return DetectorStatus(**usual | changes)


def test_a_healthy_detector_is_ok_and_its_summary_counts():
    level, summary, facts = health().report()
    assert level == OK
    assert summary == "active, 10 of 12 frames answered, 2 dropped while busy"
    assert facts["frames_dropped"] == 2


def test_a_refused_engine_is_an_error_and_outranks_the_rest():
    level, summary, _ = health(state="unconfigured", fault="no engine 'x'", warnings={"nan": "NaN"}).report()
    assert (level, summary) == (ERROR, "no engine 'x'")


def test_problems_warn_and_a_failing_engine_is_an_error():
    assert health(warnings={"nan": "a", "lost": "b"}).report()[:2] == (WARN, "a; b")
    assert health(warnings={"engine": "a"}).report()[0] == ERROR


def test_silence_counts_only_while_active():
    level, summary, _ = health(silence=3.0, publishers=[]).report()
    assert level == WARN
    assert summary == "no frame on /irst/image_raw for 3.0 s, it has no publisher"
    assert health(state="inactive", silence=3.0).report()[:2] == (OK, "inactive")


def test_refusals_are_facts_by_reason():
    counters = Counters(activated=0)
    counters.refused["step"] += 2
    counters.refused["nan"] += 1
    _, _, facts = health(counters=counters).report()
    assert (facts["frames_refused"], facts["refused_step"], facts["refused_nan"]) == (3, 2, 1)


def test_more_drops_than_allowed_are_a_warning():
    level, summary, _ = health(drop_share=0.97, drop_warn_share=0.5).report()
    assert level == WARN and summary.startswith("97% of the newest frames were dropped")
    assert health(drop_share=0.5, drop_warn_share=0.5).report()[0] == OK


def test_logits_that_are_not_finite_are_an_error():
    assert health(warnings={"not_finite": "a"}).report()[0] == ERROR


def test_progress_of_configure_is_the_summary():
    assert health(state="configuring", doing="building, step 3 of 7").report()[:2] == (
        OK,
        "configuring: building, step 3 of 7",
    )
