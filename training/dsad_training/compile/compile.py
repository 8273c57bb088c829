"""From a checkpoint to an engine folder that passed the parity gate."""

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from dsad_core.engines.direct import add_program
from dsad_core.engines.manifest import MODEL_FILE, Precision, TestResult, save_manifest
from dsad_core.engines.protocol import Engine
from dsad_core.errors import UsageError
from dsad_core.files import replace_dir, write_atomic
from dsad_tools.data.dataset import SirstDataset
from dsad_training.checkpoint import WEIGHTS_FILE, load_weights, weights_path
from dsad_training.compile.deployable import deployable
from dsad_training.compile.graph import to_onnx
from dsad_training.compile.manifest import engine_manifest, engine_name, normalisation
from dsad_training.compile.parity import ParityLimits, check, describe, measure, open_runner
from dsad_training.compile.precision import to_fp16, to_int8
from dsad_training.compile.scenes import Scene, Scenes, spread
from dsad_training.compile.score import score, takes

#: fp32 either is the network or is not, which few images tell; a loss takes many to be measured.
EXACT_IMAGES, LOSS_IMAGES = 32, 256
CALIBRATION_IMAGES = 128


def compile_checkpoint(
    checkpoint: Path,
    target: str,
    data: Sequence[Path],
    out: Path,
    name: str | None = None,
    precision: Precision = "fp32",
    size: tuple[int, int] | None = None,
    limits: Mapping[str, float] | None = None,
    test: bool = True,
) -> Path:
    """Write ``out/<name>/`` with ``model.onnx``, ``manifest.yaml`` and, for the kernels, ``model.direct``;
    return the folder.

    The engine is run by the runtime on images of each data set's training split first and must answer as the
    network does, in fp32 exactly, else within the limits; otherwise nothing is written and what was there
    stays. Calibration for int8 sees other images of the same splits. No choice is made on a test split.

    Args:
        checkpoint: a run's folder or its weights file.
        target: cpu, cuda, agx or ascend; what runs the engine in the gate, where this machine can.
        data: folder of each data set.
        name: None for what the engine is, see ``manifest.engine_name``.
        precision: fp32, fp16, int8, or bf16, whose model is float32 and whose arithmetic is the runtime's.
        size: (height, width) of a graph for this size alone; None for one that takes every size.
        limits: some of the fields of ``ParityLimits``, in place of their defaults.
        test: score the engine on each test split and say so in its manifest.

    Raises:
        EngineError: the engine does not answer as the network does.
        CheckpointError, DataError: the checkpoint or the data set cannot be read.
        UsageError: the network cannot take the size, or beside the old engine lie weights of another training.
    """
    console = Console(stderr=True, highlight=False)
    network, recipe, facts = load_weights(checkpoint)
    multiple = network.size_multiple
    if size and (min(size) < multiple or size[0] % multiple or size[1] % multiple):
        raise UsageError(
            f"size {size[1]}x{size[0]}: {recipe.network.name} takes sides that are multiples of {multiple}"
        )
    name = name or engine_name(recipe, facts, precision, size, target)
    kept = Path(out) / name / WEIGHTS_FILE
    if kept.exists() and not kept.samefile(weights_path(checkpoint)):
        raise UsageError(
            f"{kept} are other weights than those to be compiled: move them, or choose another --name"
        )
    sources = [SirstDataset(folder, "train") for folder in data]
    judging, calibrating = zip(
        *(
            [
                Scenes(source, indices, normalisation(recipe), multiple, size)
                for indices in _shares(len(source), precision)
            ]
            for source in sources
        )
    )
    with replace_dir(Path(out) / name) as folder:
        with console.status(f"compiling {name}"):
            model = to_onnx(deployable(network, len(normalisation(recipe).mean)), multiple, size)
        if precision == "fp16":
            model = to_fp16(model)
        elif precision == "int8":
            model = to_int8(model, _progress(calibrating, "calibrating", console), target)
        write_atomic(folder / MODEL_FILE, model.SerializeToString(deterministic=True))
        pixels = sum(sample.image.size for source in sources for sample in source)
        epochs = recipe.pixels(facts["step"]) / pixels
        manifest = engine_manifest(
            name, folder / MODEL_FILE, network, recipe, facts, precision, size, round(epochs, 1)
        )
        manifest = add_program(folder, manifest)
        save_manifest(folder, manifest)
        with open_runner(folder, target) as runner:
            odd = itertools.chain.from_iterable(scenes.odd() for scenes in judging)
            scenes = itertools.chain(_progress(judging, "parity", console), odd)
            parity = measure(
                network, runner, scenes, f"{' + '.join(source.name for source in sources)} train"
            )
            console.print(f"parity on {describe(parity)}", markup=False, soft_wrap=True)
            check(name, parity, runner.precision, ParityLimits(**(limits or {})))
            tests = [SirstDataset(folder, "test") for folder in data] if test else []
            results = [
                result for source in tests for result in _test(runner.engine, source, recipe.seed, console)
            ]
        save_manifest(folder, manifest.model_copy(update={"parity": parity, "test_results": results}))
        if kept.exists():
            shutil.copyfile(kept, folder / WEIGHTS_FILE)
    return Path(out) / name


def _shares(total: int, precision: Precision) -> tuple[list[int], list[int]]:
    """Images to judge by, and others of the same split to calibrate on."""
    if precision == "fp32":
        return spread(range(total), EXACT_IMAGES), []
    if precision != "int8":
        return spread(range(total), LOSS_IMAGES), []
    odd, even = range(1, total, 2), range(0, total, 2)
    return spread(odd or even, LOSS_IMAGES), spread(even, CALIBRATION_IMAGES)


def _test(engine: Engine, source: SirstDataset, seed: int, console: Console) -> list[TestResult]:
    if takes(engine, source):
        return [score(engine, source, seed)]
    height, width = engine.manifest.size or (0, 0)
    console.print(f"not tested: {source.name} test has frames of other sizes than {width}x{height}")
    return []


def _progress(scenes: Sequence[Scenes], what: str, console: Console) -> Iterable[Scene]:
    total = sum(map(len, scenes))
    return track(itertools.chain.from_iterable(scenes), what, total=total, console=console, transient=True)
