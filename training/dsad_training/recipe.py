"""A training as data: what a recipe file holds, checked before anything starts."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dsad_core.errors import UsageError
from dsad_tools.scenes.generator import SMALLEST_SIDE
from dsad_training.data.batches import Augmentation
from dsad_training.networks.dsa import DsaOptions
from dsad_training.networks.residual import Spatial


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkPart(Part):
    """Which network to train."""

    name: Literal["dnanet", "amfunet", "dmfnet"]
    width: int = Field(4, ge=1, le=64, description="channels of the first level")
    spatial: Spatial = Field("cbam", description="spatial attention of the residual blocks")
    dsa: DsaOptions = DsaOptions()

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

    @field_validator("snr")
    @classmethod
    def _lowest_first(cls, snr: tuple[float, float]) -> tuple[float, float]:
        if not 0 < snr[0] <= snr[1]:
            raise ValueError("give lowest and highest, both above 0")
        return snr


class DataPart(Part):
    """How the data set is cut and normalised, and what is added to it."""

    validation: int = Field(100, ge=0, description="images cut from the training split")
    mean: float = Field(0.45, description="subtracted from the image, full scale 1")
    std: float = Field(0.225, gt=0, description="then divided by")
    augmentation: Augmentation = Augmentation()
    synthetic: SyntheticPart | None = Field(None, description="generated scenes; none by default")


class Phase(Part):
    """One stretch of training at one crop size, its learning rate falling along a cosine."""

    steps: int = Field(ge=1)
    batch: int = Field(ge=2)
    crop: int = Field(ge=16, multiple_of=16, description="side of the square crops, px")
    lr: float = Field(gt=0, description="highest learning rate")
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
    bce: float = Field(0.0, ge=0, description="weight of the cross-entropy beside SoftIoU")
    optimiser: Literal["adamw", "adagrad"] = Field("adamw", description="adagrad is the paper's")
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(0.0, ge=0, description="largest gradient norm, 0 = no limit")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights")
    bf16: bool = Field(False, description="bfloat16 autocast")
    channels_last: bool = True
    compile: bool = Field(False, description="torch.compile for the network; needs a C++ compiler")
    validate_every: int = Field(0, ge=0, description="steps between validations, 0 = at the end of phases")

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


def load_recipe(path: str | Path, overrides: list[str] = ()) -> Recipe:
    """Read a recipe file and apply ``key=value`` overrides (``phases.0.steps=100``).

    Raises:
        UsageError: no such file, not YAML, an unknown key or a value out of range; the key is named.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError(f"recipe {path} is not valid YAML") from None
    if not isinstance(content, dict):
        raise UsageError(f"recipe {path} is not a mapping of keys to values")
    return build_recipe({"name": path.stem, **content}, overrides, str(path))


def build_recipe(content: dict[str, Any], overrides: list[str] = (), origin: str = "recipe") -> Recipe:
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
