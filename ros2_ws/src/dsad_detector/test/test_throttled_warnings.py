from types import SimpleNamespace

from dsad_detector import throttled_warnings as module
from dsad_detector.throttled_warnings import ThrottledWarnings


def test_first_of_a_kind_is_logged_at_once_then_one_line_a_period(monkeypatch):
    clock, lines = [100.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    warnings = ThrottledWarnings(SimpleNamespace(warning=lines.append), period=5.0)
    for text in ("one", "two", "three"):
        warnings.report("a", text)
    warnings.report("b", "other")
    assert lines == ["one", "other"]
    assert warnings.recent() == {"a": "three", "b": "other"}

    clock[0] += 5.0
    warnings.report("a", "four")
    assert lines[-1] == "four (2 more like it)"

    clock[0] += 4.0
    assert warnings.recent() == {"a": "four"}
    clock[0] += 2.0
    assert warnings.recent() == {}
