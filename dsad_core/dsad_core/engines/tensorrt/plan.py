"""From an engine folder to a TensorRT plan in the cache."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillBuilding
from pathlib import Path
from typing import Any

from dsad_core.engines import progress
from dsad_core.engines.cache import PlanKey, keep_shared, shared_file
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Manifest
from dsad_core.engines.planned import check_size
from dsad_core.engines.platform import Platform, effective_precision
from dsad_core.engines.tensorrt.api import Api, Typing
from dsad_core.engines.tensorrt.cuda import Device
from dsad_core.errors import EngineError, PlatformError, UnsupportedModelError, one_line

#: To be raised when the same model and options are built to another plan than before.
FORMAT = "1"
#: How soon a build notices that it is to end.
POLL_SECONDS = 0.1
#: What a plan that RTX builds without a GPU runs on.
PORTABLE = "any RTX GPU of compute capability 8.0 or later"


def plan_key(
    api: Api, device: Device | None, manifest: Manifest, options: Platform, size: tuple[int, int]
) -> PlanKey:
    """What the plan for frames of ``size`` (height, width) depends on.

    Raises:
        PlatformError: the runtime builds on the GPU alone, and there is none.
        UnsupportedModelError: see ``Api.typing``.
        UsageError: a size that the engine does not take.
    """
    check_size(manifest, size)
    if device is None and not api.rtx:
        raise PlatformError(f"{api.name} builds plans on the GPU that runs them, none answers")
    precision = effective_precision(manifest, options)
    typing = api.typing(manifest.precision, precision)
    decided_by = "strong" if typing.strong else "+".join(("FP32", *typing.flags))
    return PlanKey(
        engine=manifest.name,
        backend="tensorrt",
        model=manifest.sha256,
        runtime=api.name,
        device=f"{device.name}, compute capability {device.capability}" if device else PORTABLE,
        driver=device.driver if device else "",
        precision=precision,
        size=size,
        options={"format": FORMAT, "typing": decided_by},
    )


def parse(api: Api, builder: Any, folder: Path, manifest: Manifest, typing: Typing) -> Any:
    """The network that the engine's ONNX file holds.

    Raises:
        UnsupportedModelError: an operator that this runtime lacks.
        EngineError: the model is not what an engine must be.
    """
    path = folder / MODEL_FILE
    network = api.network(builder, typing)
    parser = api.trt.OnnxParser(network, api.logger)
    api.messages.clear()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({one_line(error)}); the engine is incomplete") from error
    if not parser.parse(content):
        raise UnsupportedModelError(f"{path}: {api.name} cannot take it: {api.parser_errors(parser)}")
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    for tensors, name, channels in ((inputs, INPUT_NAME, manifest.input_channels), (outputs, OUTPUT_NAME, 1)):
        names = [tensor.name for tensor in tensors]
        if names != [name]:
            raise EngineError(f"{path}: has {names} where an engine has ['{name}']")
        kind, shape = tensors[0].dtype, tuple(tensors[0].shape)
        if kind != api.trt.float32 or len(shape) != 4 or shape[1] not in (-1, channels):
            raise EngineError(
                f"{path}: {name} is {kind} {shape}, the manifest needs float32 (1, {channels}, H, W)"
            )
    return network


def build_plan(
    api: Api,
    device: Device | None,
    folder: Path,
    manifest: Manifest,
    key: PlanKey,
) -> bytes:
    """Build the plan; on a Jetson that takes minutes.

    Raises:
        UnsupportedModelError, EngineError: as ``parse``; or the build failed, with the reasons logged.
        Cancelled: ``progress`` was cancelled.
    """
    builder, typing = api.builder(), api.typing(manifest.precision, key.precision)
    network = parse(api, builder, folder, manifest, typing)
    # A network of fixed size needs no profile, and its plan no shapes at run time.
    network.get_input(0).shape = (1, manifest.input_channels, *key.size)
    config = api.config(builder, typing, key.precision, device.capability if device else "")
    listener = progress.current()

    def told(step: str) -> None:
        listener.report(f"{key.label}: {step}")
        if listener.cancelled.is_set():
            monitor.cancelled = True

    monitor = api.monitor(told)
    if monitor is not None:
        config.progress_monitor = monitor
    timings = shared_file("timing", key.runtime, key.device, key.driver)
    if api.has_timing_cache():
        known = timings.read_bytes() if timings.is_file() else b""
        # A file that is damaged gives None, and an empty one is what a new cache is made of.
        config.set_timing_cache(config.create_timing_cache(known) or config.create_timing_cache(b""), False)
    api.messages.clear()
    plan = _interruptible(monitor, lambda: builder.build_serialized_network(network, config))
    progress.check()  # one that was cancelled ends without a plan
    if plan is None:
        raise EngineError(f"{key.label}: {api.name} cannot build it: {api.last_messages()}")
    if api.has_timing_cache():
        keep_shared(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _interruptible(monitor: Any | None, build: Callable[[], Any]) -> Any:
    """Call ``build``; Ctrl-C and ``progress`` end it where TensorRT can be told to, from version 10."""
    # In a thread of its own: TensorRT swallows what a signal raises inside its callbacks.
    with ThreadPoolExecutor(1, "tensorrt-builder") as pool:
        future = pool.submit(build)
        try:
            while True:
                try:
                    return future.result(POLL_SECONDS)
                except StillBuilding:
                    # Also what a build that failed by itself may raise.
                    if future.done():
                        raise
                    progress.check()
        except BaseException:
            if monitor is not None:
                monitor.cancelled = True
            raise
