import pytest

from dsad_core import hardware
from dsad_core.engines import backends
from dsad_core.engines.backends import BACKENDS, backend_module, check_platform
from dsad_core.engines.platform import PLATFORMS, load_platform
from dsad_core.errors import PlatformError, UsageError
from dsad_core.hardware import Finding, python_module, shared_library

MISSING = Finding(False, "board", "buy one")


def test_the_cpu_can_always_run():
    assert "onnxruntime" in check_platform("cpu").usable


@pytest.mark.parametrize("target", PLATFORMS)
def test_findings_name_what_is_needed_and_how_to_get_it(target):
    check = check_platform(target)
    assert list(check.backends) == list(load_platform(target).backends)
    findings = [*check.device, *(finding for needs in check.backends.values() for finding in needs)]
    assert findings and all(finding.what and finding.hint for finding in findings)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("target", PLATFORMS)
def test_every_backend_says_what_it_needs_of_any_machine(name, target):
    assert all(
        isinstance(finding, Finding) for finding in backend_module(name).requirements(load_platform(target))
    )


@pytest.mark.parametrize("target", ["cuda", "agx", "ascend"])
def test_a_refusal_is_one_line_with_everything_missing(target):
    check = check_platform(target)
    if check.usable:
        pytest.skip(f"this machine can run {target}")
    with pytest.raises(PlatformError) as caught:
        check_platform(target).require()
    message = str(caught.value)
    assert "\n" not in message and target in message
    assert all(
        finding.what in message and finding.hint in message for finding in check.device if not finding.ok
    )


def test_an_unknown_target_is_named():
    with pytest.raises(PlatformError, match="'tpu'"):
        check_platform("tpu")


def test_an_unknown_backend_is_named():
    with pytest.raises(UsageError, match="'magic' is not one of acl, direct"):
        check_platform("cpu", "magic")


def test_a_backend_that_is_asked_for_stands_alone():
    assert list(check_platform("cpu", "onnxruntime").backends) == ["onnxruntime"]


def test_without_its_device_no_backend_is_usable(monkeypatch):
    monkeypatch.setattr(backends, "device", lambda target: [MISSING])
    with pytest.raises(PlatformError, match=r"missing: board \(buy one\)$"):
        check_platform("cpu").require()


def test_without_a_backend_each_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(backend_module("onnxruntime"), "requirements", lambda options: [MISSING])
    with pytest.raises(PlatformError, match=r"for onnxruntime: board \(buy one\)"):
        check_platform("cpu", "onnxruntime").require()


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
