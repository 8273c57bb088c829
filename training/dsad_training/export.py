"""From trained weights to an engine folder: prediction head only, one grey input channel, any size."""

import copy
import subprocess
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsad_core.data.dataset import SirstDataset
from dsad_core.detector import Detector
from dsad_core.engines.load import load_engine
from dsad_core.engines.manifest import (
    INPUT_NAME,
    MODEL_FILE,
    OUTPUT_NAME,
    Manifest,
    Normalisation,
    Provenance,
    TestResult,
    save_manifest,
)
from dsad_core.errors import EngineError
from dsad_core.evaluate import evaluate
from dsad_core.files import replace_dir, sha256_file
from dsad_core.frame.normalise import to_unit
from dsad_training.checkpoint import load_weights
from dsad_training.cost import cost, parameters
from dsad_training.networks.dsa import LearnableDirectionalAttention
from dsad_training.networks.residual import ResidualBlock

OPSET = 17
#: Logit difference that float32 rounding explains; anything above it is a different network.
TOLERANCE = 1e-3
PARITY_IMAGES = 32


@dataclass(frozen=True)
class Parity:
    """How far the ONNX graph is from the torch network: largest logit difference, mask pixels that differ."""

    images: int
    difference: float
    pixels: int


class Prediction(nn.Module):
    """The last of a network's outputs alone."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)[-1]


def deployable(network: nn.Module) -> nn.Module:
    """Copy in eval mode that reads a one-channel image and has its normalisations folded, same outputs.

    The three input channels hold the same grey image with the same mean and deviation, so that the
    convolutions that read it may sum their weights over them; zero padding adds the same zeros to each.
    """
    network = copy.deepcopy(network).eval().float()
    for path in network.image_blocks:
        block = network.get_submodule(path)
        block.body[0] = merge_input_channels(block.body[0])
        if not isinstance(block.shortcut, nn.Identity):
            block.shortcut[0] = merge_input_channels(block.shortcut[0])
    network.input_channels = 1
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            fold_normalisation(module)
        elif isinstance(module, ResidualBlock) and isinstance(module.spatial, LearnableDirectionalAttention):
            module.spatial = module.spatial.frozen()
    return network


def merge_input_channels(conv: nn.Conv2d) -> nn.Conv2d:
    """The same convolution for one channel that stands for all its equal input channels."""
    merged = copy.deepcopy(conv)
    merged.weight = nn.Parameter(conv.weight.detach().sum(1, keepdim=True))
    merged.in_channels = 1
    return merged


def fold_normalisation(layers: nn.Sequential) -> None:
    """Merge each BatchNorm into the convolution before it."""
    for i in range(1, len(layers)):
        if isinstance(layers[i], nn.BatchNorm2d) and isinstance(layers[i - 1], nn.Conv2d):
            layers[i - 1] = fuse_conv_bn_eval(layers[i - 1], layers[i])
            layers[i] = nn.Identity()


def to_onnx(network: nn.Module, path: Path) -> None:
    """Write a deployable network as ONNX with dynamic height and width."""
    side = 2 * network.size_multiple
    axes = {2: "height", 3: "width"}
    # The TorchScript exporter keeps global pooling and the resize factors as such, which the newer one
    # turns into reductions; onnxruntime has faster kernels for the former.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Prediction(network).eval(),
            (torch.zeros(1, 1, side, side),),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: axes, OUTPUT_NAME: axes},
        )
    onnx.checker.check_model(str(path), full_check=True)


@torch.no_grad()
def parity(network: nn.Module, path: Path, images: list[np.ndarray]) -> Parity:
    """Compare ONNX with torch on normalised float32 images (H,W), cropped to the network's multiple."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference, pixels = 0.0, 0
    for image in images:
        height, width = (side - side % network.size_multiple for side in image.shape)
        tensor = np.ascontiguousarray(image[None, None, :height, :width])
        theirs = session.run([OUTPUT_NAME], {INPUT_NAME: tensor})[0]
        ours = network(torch.from_numpy(tensor))[-1].numpy()
        difference = max(difference, float(np.abs(ours - theirs).max()))
        pixels += int(((ours > 0) != (theirs > 0)).sum())
    return Parity(len(images), difference, pixels)


def export(
    checkpoint: str | Path, data: str | Path, out: str | Path, name: str | None = None, test: bool = True
) -> Path:
    """Write ``out/<name>/`` with ``model.onnx`` and ``manifest.yaml`` and return it.

    The ONNX is compared with the trained network on images of the data set's training split first, also
    at sizes that no training crop had; nothing is written unless every mask pixel agrees. With ``test``
    the finished engine is run by the runtime on the test split, and the manifest says what it scored.

    Raises:
        EngineError: the graph's outputs differ from the network's.
        CheckpointError, DataError: the checkpoint or the data set cannot be read.
    """
    network, recipe, facts = load_weights(Path(checkpoint))
    part = recipe.network
    name = name or f"{part.name}-num{part.width}-{facts['data'].partition('-')[0].lower()}"
    mean, std = recipe.data.mean, recipe.data.std
    source = SirstDataset(data, "train")
    images = [
        (to_unit(sample.image) - np.float32(mean)) / np.float32(std)
        for sample in islice(source, PARITY_IMAGES)
    ]
    # A size whose sides are odd multiples, and one larger than any training crop.
    images += [np.pad(images[0], ((0, 16), (0, 48)), mode="reflect"), np.tile(images[1], (2, 3))[:, :640]]
    engine = Path(out) / name
    with replace_dir(engine) as folder:
        model = folder / MODEL_FILE
        to_onnx(deployable(network), model)
        agreement = parity(network, model, images)
        if agreement.pixels or agreement.difference > TOLERANCE:
            raise EngineError(
                f"{name}: ONNX differs from the network (logits by up to {agreement.difference:.3g}, "
                f"{agreement.pixels} mask pixels on {agreement.images} images); nothing was written"
            )
        manifest = Manifest(
            name=name,
            network=part.name,
            width=part.width,
            distiller=recipe.distillation.method if recipe.distillation else None,
            training_data=f"{facts['data']} train",
            normalisation=Normalisation(mean=(mean,), std=(std,)),
            input_channels=1,
            size_multiple=network.size_multiple,
            threshold=0.5,
            opset=OPSET,
            sha256=sha256_file(model),
            parameters=parameters(network),
            cost_gmac=round(cost(network) / 1e9, 4),
            provenance=Provenance(
                commit=commit(),
                recipe=recipe.name,
                recipe_content=recipe.model_dump(exclude={"name"}, exclude_defaults=True),
                seed=recipe.seed,
                split_hash=facts["split_hash"],
                steps=facts["step"],
                images_seen=facts["images"],
                epochs=round(recipe.pixels(facts["step"]) / sum(sample.image.size for sample in source), 1),
                train_images=facts["train_images"],
                recipe_changes=facts["changes"],
                **({"teacher_sha256": facts["teacher_sha256"]} if recipe.distillation else {}),
                torch=torch.__version__,
                parity_images=agreement.images,
                parity_difference=float(f"{agreement.difference:.2g}"),
            ),
        )
        save_manifest(folder, manifest)
        if test:
            result = score(folder, SirstDataset(data, "test"), recipe.seed)
            save_manifest(folder, manifest.model_copy(update={"test_results": [result]}))
    return engine


def score(folder: Path, source: SirstDataset, seed: int) -> TestResult:
    """What an engine scores on a data set when the runtime runs it on the CPU."""
    engine = load_engine(str(folder), "cpu")
    try:
        run = evaluate(Detector(engine), source, "nearest")
    finally:
        engine.close()
    result = run.result
    counts = ("hits", "predictions", "false_targets", "false_pixels", "intersection", "union", "pixels")
    return TestResult(
        data_set=source.name,
        split=source.split,
        split_hash=source.split_hash,
        threshold=run.facts.threshold,
        matching=result.matching,
        images=result.frames,
        targets=result.targets,
        iou=result.iou,
        niou=result.niou,
        pd=result.pd,
        fa=result.fa,
        counts={key: getattr(result, key) for key in counts},
        seed=seed,
    )


def commit() -> str:
    """Commit of the checkout that this file lies in, or nothing outside of one."""
    here = Path(__file__).parent
    result = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""
