"""``targets/<target>.yaml``: how a kind of machine runs an engine."""

from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsad_core.engines.locate import target_file
from dsad_core.engines.manifest import validation_message
from dsad_core.errors import EngineError, TargetError

TARGETS = ("cpu", "cuda", "agx", "ascend")


class SessionOptions(BaseModel):
    """The onnxruntime session options that were worth measuring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    graph_optimization: Literal["disabled", "basic", "extended", "all"]
    intra_op_threads: int | None = Field(ge=1, description="null: the physical cores this process may use")
    allow_spinning: bool = Field(description="threads that wait by spinning starve the node's executor")


class TargetFile(BaseModel):
    """Provider and session options of a target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Literal["cpu", "cuda", "agx", "ascend"]
    provider: str = Field(description="the onnxruntime execution provider that must run the whole graph")
    provider_options: dict[str, str] = Field(
        default_factory=dict, description="'{cache}' stands for the cache folder of this engine and machine")
    session: SessionOptions


def load_target(target: str) -> TargetFile:
    """Read and check a target's file.

    Raises:
        TargetError: no such target.
        EngineError: the file is missing or malformed.
    """
    if target not in TARGETS:
        raise TargetError(f"target {target!r} is not one of {', '.join(TARGETS)}")
    path = target_file(target)
    try:
        return TargetFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EngineError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        raise EngineError(f"{path}: {validation_message(error)}") from error
