"""From ONNX to .om by ATC, the compiler of the CANN toolkit. *Not run on hardware.*"""

import os
import re
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path

from dsad_core.engines import progress
from dsad_core.engines.cache import PlanKey
from dsad_core.engines.manifest import INPUT_NAME, Manifest
from dsad_core.engines.planned import check_size
from dsad_core.engines.platform import Platform, effective_precision
from dsad_core.errors import EngineError, UnsupportedModelError, one_line

TOOLKIT = "/usr/local/Ascend/ascend-toolkit/latest"
DRIVER = Path("/usr/local/Ascend/driver/version.info")
#: ATC's --precision_mode. Under the first an operator that has no float32 kernel fails the build.
MODES = {"fp32": "must_keep_origin_dtype", "fp16": "force_fp16"}
#: ATC's codes for an operator that it does not know, or has no kernel for.
_UNSUPPORTED = re.compile(r"\b(E19010|EZ3003|EZ9010)\b")
#: How soon a build notices that it is to end, s.
POLL_SECONDS = 0.1
_CODE = re.compile(r"\bE[A-Z0-9]\d{4}\b")


def plan_key(manifest: Manifest, options: Platform, size: tuple[int, int], soc: str) -> PlanKey:
    """What the .om for frames of ``size`` (height, width) on this SoC depends on.

    Raises:
        UnsupportedModelError: a precision that ATC does not compile an ONNX file in.
        UsageError: a size that the engine does not take.
    """
    check_size(manifest, size)
    precision = effective_precision(manifest, options)
    if precision not in MODES:
        reason = "it takes no QDQ nodes" if precision == "int8" else "it compiles in float16 or float32"
        raise UnsupportedModelError(
            f"ATC does not compile engine {manifest.name} in {precision}, {reason}; "
            "compile the weights with `dsad compile --precision fp16`"
        )
    return PlanKey(
        engine=manifest.name,
        backend="acl",
        model=manifest.sha256,
        runtime=f"CANN {_cann_version()}",
        device=soc,
        driver=_field(DRIVER, r"^Version=(.+)$"),
        precision=precision,
        size=size,
        options={"precision_mode": MODES[precision]},
        suffix=".om",
    )


def atc_command(key: PlanKey, manifest: Manifest, model: Path, output: Path) -> list[str]:
    """The command that writes ``output`` + ".om"."""
    height, width = key.size
    return [
        "atc",
        f"--model={model}",
        "--framework=5",  # ONNX
        f"--output={output}",
        f"--soc_version={key.device}",
        "--input_format=NCHW",
        f"--input_shape={INPUT_NAME}:1,{manifest.input_channels},{height},{width}",
        "--output_type=FP32",
        f"--precision_mode={MODES[key.precision]}",
        "--log=error",
    ]


def build_om(key: PlanKey, manifest: Manifest, model: Path) -> bytes:
    """Run ATC.

    Raises:
        UnsupportedModelError: an operator that it lacks.
        EngineError: it failed.
        Cancelled: ``progress`` was cancelled; ATC is killed.
    """
    # It litters its working folder with kernels and reports.
    with tempfile.TemporaryDirectory(prefix="dsad-atc-") as folder:
        command = atc_command(key, manifest, model.resolve(), Path(folder) / "model")
        progress.report(f"{key.label}: {shlex.join(command)}")
        try:
            status, output = _run(command, folder)
            # Some releases add the host's system and processor to the name.
            found = sorted(Path(folder).glob("model*.om"))
            if status == 0 and found:
                return found[0].read_bytes()
        except OSError as error:
            raise EngineError(f"{key.label}: atc cannot be run ({one_line(error)})") from error
    failure = EngineError if _UNSUPPORTED.search(output) is None else UnsupportedModelError
    raise failure(f"{key.label}: atc failed with status {status}: {_reason(output)}")


def _run(command: list[str], folder: str) -> tuple[int, str]:
    """Status and output of a command, which is killed if the build is cancelled."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=POLL_SECONDS)
                return process.returncode, output
            except subprocess.TimeoutExpired:
                try:
                    progress.check()
                except progress.Cancelled:
                    # ATC starts compilers of its own, which would live on.
                    os.killpg(process.pid, signal.SIGKILL)
                    raise


def soc_version() -> str | None:
    """The SoC as ATC names it, e.g. "Ascend310B4"; None where no NPU answers."""
    try:
        import acl

        name = acl.get_soc_name()
    except Exception:  # pyACL is absent, is another package of that name, or has no driver
        name = None
    if name:
        return name
    try:
        table = subprocess.run(["npu-smi", "info"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^\|\s*\d+\s+(\d{3}[A-Z]?\w*)\s*\|", table, re.MULTILINE)
    return f"Ascend{found[1]}" if found else None


def _cann_version() -> str:
    toolkit = Path(os.environ.get("ASCEND_TOOLKIT_HOME") or TOOLKIT)
    pattern = r"^compiler_running_version=\[(?:.*:)?(.+)\]$"
    return _field(toolkit / "version.cfg", pattern) or "of unknown version"


def _field(path: Path, pattern: str) -> str:
    try:
        found = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def _reason(output: str) -> str:
    """Of pages of output the lines that carry an error code, else the last ones."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    return "; ".join([line for line in lines if _CODE.search(line)][:3] or lines[-3:]) or "it printed nothing"
