"""``targets/<platform>.yaml``: how a kind of machine runs an engine."""

from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsad_core.engines.locate import platform_file
from dsad_core.engines.manifest import Manifest, Precision
from dsad_core.errors import EngineError, PlatformError, one_line

PLATFORMS = ("cpu", "cuda", "agx", "ascend")

Backend = Literal["direct", "openvino", "onnxruntime", "tensorrt", "acl"]


class OnnxRuntimeOptions(BaseModel):
    """The execution provider, and the session options that were worth measuring."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    provider: str = Field(description="the execution provider that must run the whole graph")
    provider_options: dict[str, str] = Field(
        default_factory=dict, description="'{cache}' stands for the cache folder of this engine and machine"
    )
    graph_optimization: Literal["disabled", "basic", "extended", "all"]
    allow_spinning: bool = Field(description="threads that wait by spinning starve the node's executor")


class Platform(BaseModel):
    """What runs on a platform, and how.

    Attributes:
        backends: in order of preference; the first whose needs the machine meets and that can take the
            model runs.
        precision: what a backend that can choose computes a float32 model in.
        threads: CPU threads; None for every physical core the process may use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    platform: Literal["cpu", "cuda", "agx", "ascend"]
    backends: tuple[Backend, ...] = Field(min_length=1)
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    threads: int | None = Field(None, ge=1)
    onnxruntime: OnnxRuntimeOptions


def load_platform(platform: str) -> Platform:
    """Read and check a platform's file.

    Raises:
        PlatformError: no such platform.
        EngineError: the file is missing or malformed.
    """
    if platform not in PLATFORMS:
        raise PlatformError(f"target {platform!r} is not one of {', '.join(PLATFORMS)}")
    path = platform_file(platform)
    try:
        return Platform.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EngineError(f"{path}: cannot be read ({one_line(error)})") from error
    except ValidationError as error:
        raise EngineError(f"{path}: {one_line(error)}") from error


def effective_precision(manifest: Manifest, options: Platform) -> Precision:
    """What the engine computes in: its own precision, or for a float32 model what the platform asks for."""
    return options.precision if manifest.precision == "fp32" else manifest.precision
