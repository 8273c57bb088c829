"""A training as data: what a recipe file holds, checked before anything starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor

from dsad_core.errors import UsageError
from dsad_tools.scenes.generator import SMALLEST_SIDE
from dsad_training.data.augmentation import Augmentation
from dsad_training.networks.dsa import DsaOptions
from dsad_training.networks.residual import Spatial

Positive = Annotated[float, Field(gt=0)]
#: One value for all input channels, or one for each.
Level = float | tuple[float, float, float]
Deviation = Positive | tuple[Positive, Positive, Positive]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkPart(Part):
    """Which network to train."""

    name: Literal["dnanet", "amfunet", "dmfnet"]
    width: int = Field(4, ge=1, le=64, description="channels of the first level")
    spatial: Spatial = Field("cbam", description="spatial attention of the residual blocks")
    dsa: DsaOptions = DsaOptions()
    reparameterised: bool = Field(
        False, description="branches beside the 3x3 convolutions, folded into them when compiled"
    )

    @model_validator(mode="after")
    def _groups_fit(self) -> "NetworkPart":
        if self.name == "dmfnet" and (self.width < 4 or self.width % 4):
            raise ValueError("width: dmfnet needs a multiple of 4")
        return self


class DistillationPart(Part):
    """What is learnt from a teacher beside the task."""

    method: Literal["dsad", "kd", "nst", "at", "kdsvd", "rkd", "cckd", "mgd", "pkd", "crosskd"]
    teacher: str = Field(description="run folder or weights file of the trained teacher")
    weight: float | None = Field(None, ge=0, description="beside the task loss; the method's own by default")
    options: dict[str, Any] = Field(default_factory=dict, description="the method's own options")
    student_taps: list[str] = Field(default_factory=list, description="module paths; default: the network's")
    teacher_taps: list[str] = Field(default_factory=list, description="module paths; default: the network's")


class SyntheticPart(Part):
    """Generated scenes trained on beside the data set, never validated on."""

    images: int = Field(ge=1, le=20_000)
    seed: int = Field(0, ge=0)
    terrain: Literal["mixed", "cloud", "sea", "terrain"] = "mixed"
    side: int = Field(256, ge=SMALLEST_SIDE, le=1024, description="of the square frames, px")
    snr: tuple[float, float] = Field((8.0, 25.0), description="lowest and highest of a target")
    share: float = Field(0.1, gt=0, lt=1, description="of a union's crops")

    @field_validator("snr")
    @classmethod
    def _lowest_first(cls, snr: tuple[float, float]) -> tuple[float, float]:
        if not 0 < snr[0] <= snr[1]:
            raise ValueError("give lowest and highest, both above 0")
        return snr


class SourcePart(Part):
    """One data set of a union, a folder under the one given as ``--data``."""

    folder: str
    kind: Literal["masks", "background", "recordings"] = Field(
        "masks", description="labelled stills; stills without a target; recordings with boxes (gt.csv)"
    )
    split: str = Field("train", description="of labelled stills: the split that is trained on")
    validation: str | None = Field(None, description="file under training/splits: names that are held out")
    sided: str | None = Field(
        None, description="file under training/splits: images whose labels lie up and left of what is seen"
    )
    every: int = Field(1, ge=1, description="of recordings: one frame of so many")
    share: float | None = Field(None, gt=0, description="of the crops; in proportion to √images by default")


class DataPart(Part):
    """How the data set is cut and normalised, and what is added to it."""

    sources: list[SourcePart] = Field([], description="a union; by default the folders given as --data")
    soft: str | None = Field(None, description="file of a teacher's answers, made by `dsad soft-labels`")
    soft_share: float = Field(0.5, gt=0, le=1, description="of the teacher's answer in what is learnt")
    validation: int = Field(100, ge=0, description="images cut from the training split; not from a union")
    mean: Level = Field(0.45, description="subtracted from the image, full scale 1")
    std: Deviation = Field(0.225, description="then divided by")
    augmentation: Augmentation = Augmentation()
    synthetic: SyntheticPart | None = Field(None, description="generated scenes; none by default")

    def normalised(self, image: Tensor) -> Tensor:
        """The image (N,1,H,W), full scale 1, as the network gets it: (N,1,H,W), or (N,3,H,W) by three means."""
        if isinstance(self.mean, float) and isinstance(self.std, float):
            return (image - self.mean) / self.std
        mean, std = (torch.tensor(each, device=image.device).view(-1, 1, 1) for each in (self.mean, self.std))
        return (image - mean) / std

    @model_validator(mode="after")
    def _as_many_deviations_as_means(self) -> "DataPart":
        if isinstance(self.mean, float) != isinstance(self.std, float):
            raise ValueError("give one mean and one std, or three of each")
        return self


class Phase(Part):
    """One stretch of training at one crop size, at a learning rate that falls along a cosine or stays."""

    steps: int = Field(ge=1)
    batch: int = Field(ge=2)
    crop: int = Field(ge=16, multiple_of=16, description="side of the square crops, px")
    lr: float = Field(gt=0, description="highest learning rate")
    schedule: Literal["cosine", "constant", "linear"] = Field("cosine", description="from lr to final_lr")
    final_lr: float = Field(0.0, ge=0, description="learning rate at the end")
    warm_up: int = Field(0, ge=0, description="steps of linear rise at the start")
    all_images: bool = Field(False, description="train on the validation images too")


class Recipe(Part):
    """Everything that decides the weights, but for the data set itself."""

    name: str = Field("unnamed", description="the recipe file's name, unless given")
    network: NetworkPart
    data: DataPart = DataPart()
    distillation: DistillationPart | None = None
    start: str | None = Field(None, description="run folder or weights file to start from; else from random")
    phases: list[Phase] = Field(min_length=1)
    seed: int = 0
    bce: float = Field(0.0, ge=0, description="weight of the mean cross-entropy beside SoftIoU")
    balanced_bce: float = Field(0.0, ge=0, description="weight of the cross-entropy for each target pixel")
    iou_by_image: bool = Field(False, description="SoftIoU of each image in place of the whole batch")
    mine_every: int = Field(0, ge=0, description="steps between searches for false alarms, 0 = none")
    optimiser: Literal["adamw", "adagrad"] = Field("adamw", description="adagrad is the paper's")
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(0.0, ge=0, description="largest gradient norm, 0 = no limit")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights")
    bf16: bool = Field(False, description="bfloat16 autocast")
    channels_last: bool = True
    kernels: bool = Field(True, description="compiled kernels in place of torch's on a CPU, in fp32")
    compile: bool = Field(False, description="torch.compile for the network; needs a C++ compiler")
    validate_every: int = Field(0, ge=0, description="steps between validations, 0 = at the end of phases")
    validate_each: int = Field(0, ge=0, description="images of each set in such a validation, 0 = all")

    @model_validator(mode="after")
    def _validation_images_stay_unseen(self) -> "Recipe":
        used = [phase.all_images for phase in self.phases]
        if used != sorted(used):
            raise ValueError("phases: a phase without all_images cannot follow one with it")
        return self

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def pixels(self, steps: int) -> int:
        """Pixels the network has seen after so many steps."""
        total = 0
        for phase in self.phases:
            done = min(steps, phase.steps)
            total += done * phase.batch * phase.crop**2
            steps -= done
        return total

    def phase_at(self, step: int) -> tuple[int, int]:
        """Phase number and step within it of the ``step``-th step overall."""
        for number, phase in enumerate(self.phases):
            if step < phase.steps:
                return number, step
            step -= phase.steps
        raise IndexError("step lies after the last phase")


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply ``key=value`` overrides (``phases.0.steps=100``).

    Raises:
        UsageError: no such file, not YAML, an unknown key or a value out of range; the key is named.
    """
    path = Path(path)
    return build_recipe({"name": path.stem, **read_recipe(path)}, overrides, str(path))


def read_recipe(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A recipe file's content over that of its ``base``, a file named relative to it. Lists are replaced whole."""
    if path.resolve() in above:
        raise UsageError(f"recipe {path} is a base of itself")
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError(f"recipe {path} is not valid YAML") from None
    if not isinstance(content, dict):
        raise UsageError(f"recipe {path} is not a mapping of keys to values")
    base = content.pop("base", None)
    if base is None:
        return content
    inherited = read_recipe(path.parent / str(base), (*above, path.resolve()))
    inherited.pop("name", None)
    return merged(inherited, content)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``changes``, mapping by mapping."""
    both = {
        key: merged(base[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **changes, **both}


def build_recipe(content: dict[str, Any], overrides: Sequence[str] = (), origin: str = "recipe") -> Recipe:
    """Validate a recipe's content after applying ``key=value`` overrides."""
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UsageError(f"override {override!r} is not of the form key=value")
        try:
            _set(content, key, yaml.safe_load(value))
        except yaml.YAMLError:
            raise UsageError(f"override {override!r}: the value is not valid YAML") from None
    return _validated(Recipe, content, origin)


def network_part(**content: Any) -> NetworkPart:
    """A network's description, validated; a UsageError names the bad value."""
    return _validated(NetworkPart, content, "network")


def _validated(kind: type[Part], content: dict[str, Any], origin: str) -> Any:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{origin}: {key or 'value'}: {first['msg']}") from None


def _set(content: Any, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    try:
        for part in parents:
            content = content[int(part)] if isinstance(content, list) else content.setdefault(part, {})
        if isinstance(content, list):
            content[int(last)] = value
        else:
            content[last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise UsageError(f"override {key!r} names no place in the recipe") from None
