import gc
import os
import shlex
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from stand_in_npu import StandInAcl

from dsad_core.engines import acl as backend
from dsad_core.engines import progress
from dsad_core.engines.acl import atc
from dsad_core.engines.acl import runtime as runtime_module
from dsad_core.engines.acl.engine import AclEngine
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MODEL_FILE, load_manifest
from dsad_core.engines.platform import load_platform
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError, UsageError

SIZE = (64, 80)

#: Writes what the stand-in for pyACL loads, or fails as ATC does.
ATC = """#!/bin/sh
echo "$@" >> "{log}"
if [ -s "{fail}" ]; then cat "{fail}"; exit 1; fi
for argument in "$@"; do case "$argument" in
  --output=*) output="${{argument#--output=}}" ;;
  --input_shape=image:*) shape="${{argument#--input_shape=image:}}" ;;
esac; done
touch fusion_result.json
echo "ATC start working now, please wait for a moment."
printf 'om %s %s' "$shape" "$(wc -l < "{log}")" > "$output.om"
"""


@pytest.fixture(autouse=True)
def cache_root(tmp_path, monkeypatch):
    monkeypatch.setenv("DSAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", str(tmp_path / "toolkit"))
    monkeypatch.setattr(atc, "DRIVER", tmp_path / "version.info")
    (tmp_path / "toolkit").mkdir()
    (tmp_path / "toolkit/version.cfg").write_text(
        "# version: 1.0\nruntime_running_version=[7.0.0.1:7.0.0]\n"
        "compiler_running_version=[7.1.0.3.220:7.0.1]\n"
    )
    (tmp_path / "version.info").write_text("Version=23.0.3\nascendhal_version=7.26\n")
    return tmp_path / "cache"


@pytest.fixture
def options():
    return load_platform("ascend")


@pytest.fixture
def baseline():
    folder = find_engine("local-contrast")
    return folder, load_manifest(folder)


@pytest.fixture
def atc_tool(tmp_path, monkeypatch):
    """An ``atc`` on the PATH: its ``log`` has a line for each run, what is in ``fail`` makes it fail."""
    tool = SimpleNamespace(log=tmp_path / "atc.log", fail=tmp_path / "atc.fail")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/atc"
    script.write_text(ATC.format(log=tool.log, fail=tool.fail))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return tool


@pytest.fixture
def acl(monkeypatch):
    stand_in = StandInAcl()
    registered = []
    monkeypatch.setitem(sys.modules, "acl", stand_in)
    at_exit = SimpleNamespace(register=lambda *call: registered.append(call))
    monkeypatch.setattr(runtime_module, "atexit", at_exit)
    yield stand_in
    # What is registered last is called first.
    assert registered in ([], [(stand_in.finalize,), (stand_in.rt.reset_device, 0)])


@pytest.fixture
def engine(acl, atc_tool, options, baseline):
    opened = backend.open_engine(*baseline, options, 1)
    yield opened
    acl.failures.clear()
    opened.close()
    gc.collect()
    assert not acl.held


def image(size=SIZE, seed=0):
    return np.random.default_rng(seed).normal(size=(1, 1, *size)).astype(np.float32)


# ATC


def test_the_command_is_the_documented_one(baseline, options):
    folder, manifest = baseline
    key = atc.plan_key(manifest, options, (512, 640), "Ascend310B4")
    assert atc.atc_command(key, manifest, folder / MODEL_FILE, Path("/tmp/x/model")) == [
        "atc",
        f"--model={folder / MODEL_FILE}",
        "--framework=5",
        "--output=/tmp/x/model",
        "--soc_version=Ascend310B4",
        "--input_format=NCHW",
        "--input_shape=image:1,1,512,640",
        "--output_type=FP32",
        "--precision_mode=force_fp16",
        "--log=error",
    ]


def test_the_command_is_told_before_it_is_run(acl, atc_tool, baseline, options):
    told = []
    with progress.listen(progress.Progress(told.append)):
        path = backend.build(*baseline, options, SIZE)
    [line] = [text[text.index("atc ") :] for text in told if ": atc " in text]
    assert shlex.split(line)[1:] == atc_tool.log.read_text().split()
    assert path.suffix == ".om" and path.read_bytes() == b"om 1,1,64,80 1"
    assert backend.build(*baseline, options, SIZE) == path
    assert len(atc_tool.log.read_text().splitlines()) == 1


def test_a_compiler_is_killed_when_the_build_is_cancelled(acl, baseline, options, tmp_path, monkeypatch):
    tools = tmp_path / "slow"
    tools.mkdir()
    (tools / "atc").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    (tools / "atc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    task, caught = progress.Progress(lambda text: None), []

    def run():
        with progress.listen(task):
            try:
                backend.build(*baseline, options, SIZE)
            except EngineError as error:
                caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    task.cancelled.set()
    thread.join(60)
    assert not thread.is_alive() and isinstance(caught[0], progress.Cancelled)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_where_there_is_no_npu_the_command_can_be_had_all_the_same(baseline, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "acl", None)
    monkeypatch.setenv("PATH", "")
    line = shlex.split(backend.command_line(*baseline, options, SIZE))
    assert line[0] == "atc" and "--soc_version=Ascend310B4" in line and "--output=local-contrast" in line
    with pytest.raises(PlatformError, match="no Ascend NPU answers"):
        backend.build(*baseline, options, SIZE)
    assert [finding.ok for finding in backend.requirements(options)] == [False, False]


def test_without_atc_the_refusal_holds_the_command(acl, baseline, options, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlatformError, match=r"no atc here .*: atc --model=.* --soc_version=Ascend310B4 "):
        backend.build(*baseline, options, SIZE)


def test_the_plan_depends_on_toolkit_driver_and_soc(acl, atc_tool, baseline, options, tmp_path):
    assert backend.stale(*baseline, options, SIZE) == "not built yet"
    backend.build(*baseline, options, SIZE)
    assert backend.stale(*baseline, options, SIZE) is None
    (tmp_path / "toolkit/version.cfg").write_text("compiler_running_version=[7.2:8.0.RC1]\n")
    (tmp_path / "version.info").write_text("Version=24.1\n")
    acl.get_soc_name = lambda: "Ascend310B1"
    assert backend.stale(*baseline, options, SIZE) == (
        "built by CANN 7.0.1, this is CANN 8.0.RC1; built for Ascend310B4, this is Ascend310B1; "
        "built under driver 23.0.3, this is 24.1"
    )


@pytest.mark.parametrize(
    "output, error, told",
    [
        (
            "ATC start working now\nE19010: No parser is registered for Op [sharpen, optype [Sharpen]].\n",
            UnsupportedModelError,
            "status 1: E19010: No parser is registered for Op",
        ),
        (
            "ATC start\nE10001: Value [Ascend1] for parameter [--soc_version] is invalid.\n\n",
            EngineError,
            "E10001: Value",
        ),
        ("one\ntwo\nthree\nKilled\n", EngineError, "status 1: two; three; Killed"),
    ],
)
def test_a_failure_of_atc_is_one_line(acl, atc_tool, baseline, options, output, error, told):
    atc_tool.fail.write_text(output)
    with pytest.raises(error) as caught:
        backend.build(*baseline, options, SIZE)
    assert told in str(caught.value) and "\n" not in str(caught.value) and "80x64 fp16" in str(caught.value)
    assert backend.stale(*baseline, options, SIZE) == "not built yet"


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_precision_that_atc_does_not_take_is_for_another_backend(acl, baseline, options, precision):
    folder, manifest = baseline
    manifest = manifest.model_copy(update={"precision": precision})
    with pytest.raises(UnsupportedModelError, match=precision):
        backend.open_engine(folder, manifest, options, 1)
    with pytest.raises(UsageError, match="multiples of 8"):
        backend.build(*baseline, options, (60, 80))


@pytest.mark.parametrize(
    "table, soc",
    [
        (
            "| NPU     Name                  | Health          |\n"
            "| 0       310B4                 | Alarm           | 0.0          54                15    / 15    |\n",
            "Ascend310B4",
        ),
        (
            "| 1     910B3               | OK            | 89.1        35                0    / 0             |\n",
            "Ascend910B3",
        ),
        ("DrvMngGetConsoleLogLevel failed.\n", None),
    ],
)
def test_the_soc_is_read_from_npu_smi_without_pyacl(monkeypatch, tmp_path, table, soc):
    monkeypatch.setitem(sys.modules, "acl", None)
    (tmp_path / "table").write_text(table)
    script = tmp_path / "npu-smi"
    script.write_text(f'#!/bin/sh\n[ "$1" = info ] && cat {tmp_path}/table\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert atc.soc_version() == soc


# pyACL


def test_frames_run_and_the_order_of_calls_is_the_documented_one(engine, acl):
    frame = image()
    assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert engine.description == "ACL of CANN 7.0.1 fp16 on Ascend310B4"
    opening = [call for call in acl.calls if not call.startswith("mdl.get_")]
    data_set = ["rt.malloc", "mdl.create_dataset", "create_data_buffer", "mdl.add_dataset_buffer"]
    assert opening == [
        "init",
        "rt.set_device",
        "rt.create_context",
        "rt.set_context",
        "mdl.load_from_file",
        "mdl.create_desc",
        *data_set,
        *data_set,
        "rt.memcpy",
        "mdl.execute",
        "rt.memcpy",
    ]
    acl.calls.clear()
    frame = image(seed=1)
    assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert acl.calls == ["rt.set_context", "rt.memcpy", "mdl.execute", "rt.memcpy"]
    acl.calls.clear()
    engine.close()
    freeing = ["destroy_data_buffer", "mdl.destroy_dataset", "rt.free"]
    assert acl.calls == [
        "rt.set_context",
        *freeing,
        *freeing,
        "mdl.destroy_desc",
        "mdl.unload",
        "rt.destroy_context",
    ]


def test_any_thread_may_run_and_close_it(engine):
    frame, answers = image(), []

    def work():
        answers.append(engine.infer(frame))
        engine.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert np.array_equal(answers[0], 2 * frame[0, 0])


def test_another_size_is_another_plan(engine, atc_tool):
    for size in (SIZE, (64, 64), SIZE):
        frame = image(size)
        assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    assert len(atc_tool.log.read_text().splitlines()) == 2


def test_a_plan_that_acl_refuses_is_built_once_more_and_then_refused(engine, acl, atc_tool):
    acl.refused.add(b"om 1,1,64,80 1")
    frame = image()
    assert np.array_equal(engine.infer(frame), 2 * frame[0, 0])
    acl.refused.update({b"om 1,1,64,64 3", b"om 1,1,64,64 4"})
    for _ in range(2):
        with pytest.raises(
            EngineError,
            match="built here and refused all the same: .*"
            "acl.mdl.load_from_file failed with code 145006: EE9999",
        ):
            engine.infer(image((64, 64)))
    assert len(atc_tool.log.read_text().splitlines()) == 4


CALLS_OF_OPENING = ["mdl.get_desc", "mdl.get_input_dims", "rt.malloc", "mdl.add_dataset_buffer"]


@pytest.mark.parametrize("function", [*CALLS_OF_OPENING, "rt.set_context", "rt.memcpy", "mdl.execute"])
def test_every_error_code_is_told_with_its_function(engine, acl, function):
    acl.failures[function] = 507011
    with pytest.raises(EngineError, match=rf"acl\.{function} failed with code 507011: EE9999: inner error"):
        engine.infer(image())
    acl.failures.clear()
    engine.close()
    assert not acl.held


@pytest.mark.parametrize("function", ["init", "rt.set_device", "rt.create_context"])
def test_a_device_that_fails_at_the_start_is_one_line(acl, atc_tool, options, baseline, function):
    acl.failures[function] = 107002
    with pytest.raises(EngineError, match=rf"acl\.{function} failed with code 107002"):
        backend.open_engine(*baseline, options, 1)
    assert not acl.held


def test_want_of_memory_is_told_in_figures(engine, acl):
    acl.failures["rt.malloc"] = 207001
    with pytest.raises(
        EngineError,
        match=r"80x64: frames of 80x64 need more memory than the NPU has left, "
        r"64 of 4096 MiB \(acl.rt.malloc failed with code 207001",
    ):
        engine.infer(image())


def test_what_cannot_be_freed_is_told_and_the_rest_is_freed(acl, atc_tool, options, baseline):
    opened = backend.open_engine(*baseline, options, 1)
    opened.infer(image())
    acl.failures["mdl.unload"] = 507899
    with pytest.raises(EngineError, match=r"acl\.mdl\.unload failed with code 507899"):
        opened.close()
    assert acl.held == list(acl.models) and len(acl.models) == 1


def test_a_process_that_has_initialised_acl_goes_on(acl, atc_tool, options, baseline):
    acl.init()
    acl.failures["init"] = 100002
    opened = backend.open_engine(*baseline, options, 1)
    frame = image()
    assert np.array_equal(opened.infer(frame), 2 * frame[0, 0])
    opened.close()


def test_two_engines_initialise_acl_once(acl, atc_tool, options, baseline):
    engines = [backend.open_engine(*baseline, options, 1) for _ in range(2)]
    frame = image()
    for opened in engines:
        assert np.array_equal(opened.infer(frame), 2 * frame[0, 0])
        opened.close()
    assert acl.calls.count("init") == 1 and not acl.held


def test_a_model_of_one_size_is_built_when_it_is_opened(acl, atc_tool, options, baseline):
    folder, manifest = baseline
    opened = AclEngine(folder, manifest.model_copy(update={"size": SIZE}), options, "Ascend310B4")
    assert "image:1,1,64,80" in atc_tool.log.read_text()
    opened.close()
    atc_tool.fail.write_text("EZ3003: No supported Ops kernel and engine are found for [r], optype [Resize].")
    with pytest.raises(UnsupportedModelError, match="EZ3003"):
        AclEngine(folder, manifest.model_copy(update={"size": (64, 64)}), options, "Ascend310B4")
    assert not acl.held
