import pytest

from dsad_core import hardware
from dsad_core.engines.target_file import TARGETS
from dsad_core.errors import TargetError
from dsad_core.hardware import Finding, check_target, require_target


def test_the_cpu_can_always_run():
    require_target("cpu")


@pytest.mark.parametrize("target", TARGETS)
def test_findings_name_what_is_needed_and_how_to_get_it(target):
    findings = check_target(target)
    assert findings and all(finding.what and finding.hint for finding in findings)


@pytest.mark.parametrize("target", ["cuda", "agx", "ascend"])
def test_a_refusal_is_one_line_with_everything_missing(target):
    missing = [finding for finding in check_target(target) if not finding.ok]
    if not missing:
        pytest.skip(f"this machine can run {target}")
    with pytest.raises(TargetError) as caught:
        require_target(target)
    message = str(caught.value)
    assert "\n" not in message and target in message
    assert all(finding.what in message and finding.hint in message for finding in missing)


def test_an_unknown_target_is_named():
    with pytest.raises(TargetError, match="'tpu'"):
        check_target("tpu")


def test_a_target_whose_needs_are_met_is_let_through(monkeypatch):
    monkeypatch.setitem(hardware._CHECKS, "agx", lambda: [Finding(True, "board", "here")])
    require_target("agx")
