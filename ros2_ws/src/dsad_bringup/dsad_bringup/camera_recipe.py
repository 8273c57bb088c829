"""Recipes of common infrared cameras: topics and detector parameters that fit a driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dsad_core.errors import UsageError, one_line


@dataclass(frozen=True)
class CameraRecipe:
    """One file of ``launch/cameras``.

    Attributes:
        camera: what it is for.
        driver: the ROS 2 package whose node publishes the frames.
        start: the command that starts the driver.
        encoding, rate: of its frames.
        corrections: how a flat-field correction can be told.
        image_topic, camera_info_topic: what the driver publishes; ``""`` where there is no such topic.
        run_on_hardware: whether somebody ran it with such a camera.
        notes: what users of the camera stumble over.
        detector: parameters of the detector.
    """

    camera: str
    driver: str
    start: str
    encoding: str
    rate: str
    corrections: str
    image_topic: str
    run_on_hardware: bool
    camera_info_topic: str = ""
    notes: tuple[str, ...] = ()
    detector: Mapping[str, Any] = field(default_factory=dict)


def read_recipe(camera: str, folder: Path) -> CameraRecipe:
    """The recipe that ``camera`` names.

    Args:
        camera: name of a file in ``folder`` without its suffix, or the path of a ``.yaml`` file.
        folder: of the recipes that are installed.

    Raises:
        UsageError: there is no such recipe, or the file is none.
    """
    path = Path(camera).expanduser() if camera.endswith(".yaml") else folder / f"{camera}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.yaml"))) or f"none in {folder}"
        raise UsageError(
            f"camera:={camera}: no such recipe; there are {known}, or give the path of a .yaml file"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = CameraRecipe(**content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise UsageError(f"camera:={camera}: {path} is no recipe: {one_line(error)}") from None
    if not isinstance(recipe.detector, dict):
        raise UsageError(f"camera:={camera}: {path}: detector holds no names and values")
    return recipe
