import pytest

from dsad_core import hardware
from dsad_core.engines import backends
from dsad_core.engines.backends import BACKENDS, backend_module, check_target, require_target
from dsad_core.engines.target_file import TARGETS, load_target
from dsad_core.errors import TargetError, UsageError
from dsad_core.hardware import Finding, python_module, shared_library

MISSING = Finding(False, "board", "buy one")


def test_the_cpu_can_always_run():
    assert "onnxruntime" in require_target("cpu").usable


@pytest.mark.parametrize("target", TARGETS)
def test_findings_name_what_is_needed_and_how_to_get_it(target):
    check = check_target(target)
    assert list(check.backends) == list(load_target(target).backends)
    findings = [*check.device, *(finding for needs in check.backends.values() for finding in needs)]
    assert findings and all(finding.what and finding.hint for finding in findings)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_backend_says_what_it_needs_of_any_machine(name, target):
    assert all(
        isinstance(finding, Finding) for finding in backend_module(name).requirements(load_target(target))
    )


@pytest.mark.parametrize("target", ["cuda", "agx", "ascend"])
def test_a_refusal_is_one_line_with_everything_missing(target):
    check = check_target(target)
    if check.usable:
        pytest.skip(f"this machine can run {target}")
    with pytest.raises(TargetError) as caught:
        require_target(target)
    message = str(caught.value)
    assert "\n" not in message and target in message
    assert all(
        finding.what in message and finding.hint in message for finding in check.device if not finding.ok
    )


def test_an_unknown_target_is_named():
    with pytest.raises(TargetError, match="'tpu'"):
        check_target("tpu")


def test_an_unknown_backend_is_named():
    with pytest.raises(UsageError, match="'magic' is not one of acl, direct"):
        check_target("cpu", "magic")


def test_a_backend_that_is_asked_for_stands_alone():
    assert list(check_target("cpu", "onnxruntime").backends) == ["onnxruntime"]


def test_without_its_device_no_backend_is_usable(monkeypatch):
    monkeypatch.setattr(backends, "device", lambda target: [MISSING])
    with pytest.raises(TargetError, match=r"missing: board \(buy one\)$"):
        require_target("cpu")


def test_without_a_backend_each_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(backend_module("onnxruntime"), "requirements", lambda options: [MISSING])
    with pytest.raises(TargetError, match=r"for onnxruntime: board \(buy one\)"):
        require_target("cpu", "onnxruntime")


def test_probes_say_what_they_found():
    assert python_module("numpy", "pip install numpy").ok
    assert python_module("no_such_module", "get it") == Finding(False, "no_such_module", "get it")
    assert shared_library("C library", "libnothing.so", "libc.so.6", hint="") == Finding(
        True, "C library", "libc.so.6"
    )
    assert hardware.device("cpu") == []


def test_a_jetson_is_known_by_its_release_file_or_its_device_tree(tmp_path):
    assert not hardware.jetson_board(tmp_path).ok
    tree = tmp_path / "proc" / "device-tree" / "compatible"
    tree.parent.mkdir(parents=True)
    tree.write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert not hardware.jetson_board(tmp_path).ok
    tree.write_bytes(b"nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0")
    assert hardware.jetson_board(tmp_path).hint == "nvidia,tegra234"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nv_tegra_release").write_text("# R36 (release)\n")
    assert hardware.jetson_board(tmp_path).hint.startswith("# R36")
