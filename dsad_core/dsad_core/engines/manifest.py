"""What an engine folder says about itself: ``model.onnx`` beside ``manifest.yaml``."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dsad_core.engines.external_data import external_files
from dsad_core.errors import EngineError, one_line
from dsad_core.files import sha256_file, write_atomic
from dsad_core.metrics.counts import Matching
from dsad_core.targets import sigmoid

MODEL_FILE = "model.onnx"
#: The fused graph that the backend ``direct`` runs, where it can run the model.
PROGRAM_FILE = "model.direct"
MANIFEST_FILE = "manifest.yaml"

#: Every engine's ONNX graph has one input (1, C, H, W) and one output (1, 1, H, W), both float32.
INPUT_NAME = "image"
OUTPUT_NAME = "logits"

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)


class Normalisation(_Strict):
    """``(x - mean) / std`` of the grey image in [0, 1], one value for each input channel.

    A network of three input channels sees the same grey image three times.
    """

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0.0)], ...]


class TestResult(_Strict):
    """What the engine scored on a data set; the counts are what the ratios were computed from."""

    __test__ = False  # not a pytest class, whatever its name starts with

    data_set: str
    split: str
    split_hash: str
    threshold: Probability
    matching: Matching
    images: int = Field(ge=0)
    targets: int = Field(ge=0)
    iou: Ratio | None = Field(description="sum of intersections / sum of unions; null where truth is boxes")
    niou: Ratio | None = Field(description="mean of the images' own IoU")
    pd: Ratio | None = Field(description="targets hit / targets")
    fa: Ratio | None = Field(description="false pixels / all pixels; a plain ratio, not in 1e-5")
    counts: dict[str, int] = Field(
        description="hits, predictions, false_targets, false_pixels, intersection, union, pixels"
    )
    seed: int | None = None


class HeldOutResult(_Strict):
    """What an engine does on the part of one set that its training never saw. Peaks of the logits are answers.

    A target is found by a peak within 5 px of its centroid, or inside its box where a set has boxes.
    """

    data_set: str
    frames: int = Field(ge=1)
    targets: int = Field(ge=0)
    pd: Ratio | None = Field(description="targets found above the threshold / targets; null without a target")
    false_a_frame: float = Field(ge=0.0, description="false answers above the threshold, a frame")
    pd_at: dict[float, Ratio | None] = Field(description="Pd by the false answers a frame that are allowed")
    auc: Ratio | None = Field(description="chance that a true peak scores above a false one")
    ceiling: Ratio | None = Field(description="share of the peaks above 0.5 within 1 % of the largest logit")
    judged: bool = Field(True, description="false: unlabelled objects may be in it, so it decided nothing")


class ThresholdChoice(_Strict):
    """How the threshold was chosen: on held-out parts of the training data, for a rate of false alarms."""

    split_hash: str
    images: int = Field(ge=1)
    false_a_frame: float = Field(ge=0.0, description="asked for, mean over the judged sets")
    sets: list[HeldOutResult]


class ReliabilityBin(_Strict):
    """Answers whose calibrated scores lie together."""

    score: Ratio = Field(description="mean score")
    true: Ratio = Field(description="share of the answers that are targets")
    answers: int = Field(ge=1)


class ScoreCalibration(_Strict):
    """Turns the highest logit of an answer into the chance that it is a target (Platt 1999).

    Fitted on held-out parts of the training data, each set of the same weight.
    """

    scale: float = Field(gt=0.0)
    offset: float
    answers: int = Field(ge=1, description="peaks it was fitted on")
    reliability: list[ReliabilityBin] = Field(description="on the same peaks, lowest score first")

    def score(self, logits: np.ndarray) -> np.ndarray:
        """Chance (0 to 1) that answers with these highest logits are targets; same shape."""
        return sigmoid(self.scale * np.asarray(logits, np.float64) + self.offset)


class Parity(_Strict):
    """How far an engine is from the network it was compiled from, on images of the training split."""

    data: str = Field(description="data set and split")
    images: int = Field(ge=1)
    mask_pixels: int = Field(ge=0, description="mask pixels that differ, over all images")
    largest_logit_difference: float = Field(ge=0.0)
    iou_change: float = Field(description="engine minus network, as are the next two")
    pd_change: float
    fa_change: float = Field(description="a plain ratio, not in 1e-5")
    backend: str = Field(description="what ran the engine")


class Provenance(BaseModel):
    """Where the weights come from. Further keys (images_seen, teacher, ...) are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    commit: str = Field(description="commit of this repository that made the engine; '' if unknown")
    recipe: str = Field(description="recipe file or command that made it")
    seed: int | None = None


class Manifest(_Strict):
    """The engine contract. ``manifest.yaml`` holds exactly these fields."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="the engine's folder name")
    network: str = Field(description="dnanet, amfunet, dmfnet, local-contrast, ...")
    width: int | None = Field(ge=1, description="channels of the finest level: 4 for num4; null for none")
    distiller: str | None = Field(description="how it was distilled; null if it was not")
    training_data: str | None = Field(description="data set and split; null if nothing was trained")
    normalisation: Normalisation
    input_channels: Literal[1, 3]
    size_multiple: int = Field(ge=1, le=256, description="frame sides are padded to a multiple of it")
    threshold: Probability = Field(description="the highest probability of a target is above it")
    outline: Probability | None = Field(
        None, description="a target reaches over the connected pixels above it; null: above the threshold"
    )
    opset: int = Field(ge=11)
    sha256: Hash = Field(description="of model.onnx")
    program_sha256: Hash | None = Field(None, description="of model.direct; null: there is none")
    precision: Precision = Field(
        "fp32",
        description="what the engine computes in; bf16, and int8 with a program: the model is float32",
    )
    size: tuple[int, int] | None = Field(None, description="(height, width) of a graph of fixed size")
    parameters: int = Field(ge=0, description="trainable numbers of the network, as trained")
    cost_gmac: float = Field(ge=0.0, description="multiply-accumulates at 256x256, 1e9")
    parity: Parity | None = Field(None, description="measured before the engine was written")
    test_results: list[TestResult] = Field(default_factory=list)
    threshold_choice: ThresholdChoice | None = Field(None, description="null: the usual 0.5")
    calibration: ScoreCalibration | None = Field(None, description="null: a score is the highest probability")
    provenance: Provenance

    @property
    def mask_level(self) -> float:
        """Probability that every pixel of a mask is above, at the manifest's own threshold."""
        return self.threshold if self.outline is None else self.outline

    @property
    def float32_on_bytes(self) -> bool:
        """The model is float32, and its program, which backend ``direct`` runs, has 8-bit integers."""
        return self.precision == "int8" and self.program_sha256 is not None

    @model_validator(mode="after")
    def _one_value_for_each_channel(self) -> "Manifest":
        for key in ("mean", "std"):
            length = len(getattr(self.normalisation, key))
            if length != self.input_channels:
                raise ValueError(
                    f"normalisation.{key} has {length} values, input_channels is {self.input_channels}"
                )
        return self

    @model_validator(mode="after")
    def _outline_within_threshold(self) -> "Manifest":
        if self.outline is not None and self.outline > self.threshold:
            raise ValueError(f"outline {self.outline:g} is above threshold {self.threshold:g}")
        return self


def read_manifest(folder: str | Path) -> Manifest:
    """Parse ``folder/manifest.yaml`` without looking at the model.

    Raises:
        EngineError: no such file, not YAML, or a field is missing, unknown or out of range.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(
            f"{path}: cannot be read ({one_line(error)}); an engine folder holds "
            f"{MODEL_FILE} and {MANIFEST_FILE}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: not YAML ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise EngineError(f"{path}: holds no mapping of fields but {type(content).__name__}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise EngineError(f"{path}: {one_line(error)}") from error


def load_manifest(folder: str | Path) -> Manifest:
    """Read the manifest and verify that ``model.onnx`` and ``model.direct`` are the files it was written for.

    Raises:
        EngineError: as ``read_manifest``, or one of the two is missing, its SHA-256 differs, or the model keeps
            weights in other files, which that hash does not cover.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    _verify_hashes(folder, manifest)
    _require_whole(folder / MODEL_FILE)
    return manifest


def save_manifest(folder: str | Path, manifest: Manifest) -> None:
    """Write ``folder/manifest.yaml``; the files whose SHA-256 it names must be there and match."""
    folder = Path(folder)
    _verify_hashes(folder, manifest)
    write_atomic(
        folder / MANIFEST_FILE, yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False, width=110)
    )


def _verify_hashes(folder: Path, manifest: Manifest) -> None:
    for name, expected in ((MODEL_FILE, manifest.sha256), (PROGRAM_FILE, manifest.program_sha256)):
        if expected is None:
            continue
        path = folder / name
        try:
            found = sha256_file(path)
        except OSError as error:
            raise EngineError(
                f"{path}: cannot be read ({one_line(error)}); the engine is incomplete"
            ) from error
        if found != expected:
            raise EngineError(
                f"{path}: SHA-256 is {found[:12]}... but {MANIFEST_FILE} says {expected[:12]}...; the file "
                "was changed or damaged: compile the engine again or restore it"
            )


def _require_whole(model: Path) -> None:
    others = external_files(model.read_bytes())
    if others:
        raise EngineError(
            f"{model}: keeps weights in {', '.join(others)}, which its SHA-256 does not cover; "
            "save the model as one file"
        )
