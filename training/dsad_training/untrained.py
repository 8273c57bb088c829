"""Networks for benchmarks: an engine of any weights, and the paper's six without a training."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from dsad_core.engines.direct import add_program
from dsad_core.engines.manifest import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Manifest, Precision, save_manifest
from dsad_core.files import sha256_file
from dsad_core.frame.normalise import to_unit
from dsad_tools.bench.measure import SCENE, scenes
from dsad_tools.bench.models import Model
from dsad_tools.scenes.generator import SceneGenerator
from dsad_training.checkpoint import load_weights, save_weights, weights_path
from dsad_training.compile.deployable import Prediction, deployable
from dsad_training.compile.graph import OPSET, to_onnx
from dsad_training.compile.precision import to_fp16, to_int8
from dsad_training.compile.scenes import Scene
from dsad_training.contenders import EXPORT_FILE
from dsad_training.networks.build import build_network, prediction_heads
from dsad_training.networks.network import Network
from dsad_training.recipe import Recipe, build_recipe
from dsad_training.torch_engine import TorchEngine

#: The networks of the paper's Table 7.
NETWORKS = [(name, width) for name in ("dnanet", "amfunet", "dmfnet") for width in (16, 4)]
NOTE = "untrained weights: latency only"
#: Generated scenes that the normalisations of untrained networks have seen, and their side, px.
SCENES, SIDE = 8, 128


def compile_weights(checkpoint: Path, folder: Path, precisions: tuple[Precision, ...] = ()) -> Model:
    """Write engines of the weights below ``folder``, without comparing them with these on a data set.

    One is fp32, the others stand beside it; int8 is calibrated on generated scenes.

    Raises:
        CheckpointError: the weights are missing, damaged or foreign.
    """
    return _compile(checkpoint, folder, TorchEngine(checkpoint).manifest, precisions)


def untrained(folder: Path, precisions: tuple[Precision, ...] = (), seed: int = 0) -> list[Model]:
    """Engines and weights, below ``folder``, of the paper's networks as they are before a training."""
    subjects = []
    for network, width in NETWORKS:
        checkpoint = _checkpoint(network, width, folder, seed)
        manifest = TorchEngine(checkpoint).manifest.model_copy(update={"name": checkpoint.name})
        subjects.append(_compile(checkpoint, folder, manifest, precisions, NOTE))
    return subjects


def _compile(
    checkpoint: Path, folder: Path, manifest: Manifest, precisions: tuple[Precision, ...], note: str = ""
) -> Model:
    network = load_weights(checkpoint)[0]
    graph = to_onnx(deployable(network, manifest.input_channels), manifest.size_multiple)
    manifest = manifest.model_copy(update={"opset": OPSET})
    subject = Model(_write(folder / "engines", manifest, graph), weights_path(checkpoint), note)
    _export(network, subject.engine / EXPORT_FILE, manifest)
    for precision in set(precisions) - {"fp32"}:
        update = {"name": f"{manifest.name}-{precision}", "precision": precision}
        _write(folder / "engines", manifest.model_copy(update=update), _reduced(graph, precision, manifest))
    return subject


def _write(folder: Path, manifest: Manifest, graph: onnx.ModelProto) -> Path:
    engine = folder / manifest.name
    engine.mkdir(parents=True)
    (engine / MODEL_FILE).write_bytes(graph.SerializeToString())
    manifest = manifest.model_copy(update={"sha256": sha256_file(engine / MODEL_FILE)})
    save_manifest(engine, add_program(engine, manifest))
    return engine


def _reduced(graph: onnx.ModelProto, precision: Precision, manifest: Manifest) -> onnx.ModelProto:
    if precision == "fp16":
        return to_fp16(graph)
    if precision == "int8":
        tensors = scenes(manifest, SIDE, SIDE)
        return to_int8(graph, (Scene(tensor, np.zeros((SIDE, SIDE), np.uint8)) for tensor in tensors), "cpu")
    return graph


def _export(network: Network, path: Path, manifest: Manifest) -> None:
    """The network as torch's exporter alone leaves it, with every frame size."""
    axes, side = {2: "height", 3: "width"}, 2 * manifest.size_multiple
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Prediction(network),
            (torch.zeros(1, manifest.input_channels, side, side),),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: axes, OUTPUT_NAME: axes},
        )


def _checkpoint(name: str, width: int, folder: Path, seed: int) -> Path:
    spatial = "none" if name == "dmfnet" else "cbam"
    content = {
        "name": "untrained",
        "network": {"name": name, "width": width, "spatial": spatial},
        "seed": seed,
        "phases": [{"steps": 1, "batch": 2, "crop": 16, "lr": 1e-3}],
    }
    recipe = build_recipe(content, origin="untrained network")
    # The caller's random numbers go on as if nothing had happened.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(recipe.network)
    _settle(network, recipe)
    run = folder / f"{name}-num{width}"
    run.mkdir()
    save_weights(run, network.state_dict(), recipe, {})
    return run


@torch.no_grad()
def _settle(network: nn.Module, recipe: Recipe) -> None:
    """Let the normalisations see scenes once, and let the prediction be positive on half of their pixels.

    Activations are then of a trained network's size, and masks of two engines can be compared.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # what it has seen, in place of a running average from 0 and 1
    source = SceneGenerator(SIDE, SIDE, SCENES, seed=recipe.seed, **SCENE)
    scenes = np.stack([to_unit(sample.image) for sample in source])
    images = recipe.data.normalised(torch.from_numpy(scenes[:, None]))
    network.train()(images)
    middle = network.eval()(images)[-1].median()
    for head in prediction_heads(network):
        head.bias -= middle
