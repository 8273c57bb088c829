"""What a ``params_file`` says to a node, read as rcl reads it, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dsad_core.errors import UsageError, one_line


def read_parameters(path: Path) -> dict[str, dict[str, Any]]:
    """Parameters by the name or pattern of a node, as ``ros2 param dump`` writes them.

    Raises:
        UsageError: the file cannot be read, or is no parameter file.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"params_file:={path}: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise UsageError(f"params_file:={path}: no parameter file: node names are missing")
    return dict(_sections(path, "", content))


def _sections(path: Path, outer: str, content: Mapping):
    for name, section in content.items():
        full = f"{outer}/{str(name).strip('/')}"
        if not isinstance(section, dict):
            raise UsageError(f"params_file:={path}: {name}: ros__parameters are missing below it")
        if "ros__parameters" not in section:
            yield from _sections(path, full, section)
        elif not isinstance(section["ros__parameters"], dict):
            raise UsageError(f"params_file:={path}: {name}: ros__parameters holds no names and values")
        else:
            yield full, section["ros__parameters"]


def parameters_of(sections: Mapping[str, Mapping[str, Any]], node: str) -> dict[str, Any]:
    """The parameters of the node with that full name; later sections win.

    In a pattern ``*`` stands for one part of a name and ``**`` for any number of them.
    """
    found: dict[str, Any] = {}
    for pattern, parameters in sections.items():
        expression = re.escape(pattern).replace(r"/\*\*", r"(/.*)?").replace(r"\*", "[^/]*")
        if re.fullmatch(expression, node):
            found |= parameters
    return found
