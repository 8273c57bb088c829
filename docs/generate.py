"""Collects the pages of the documentation site: those written by hand and those that the code tells.

``python docs/generate.py out/docs`` copies ``docs/`` there and adds what nobody should have to keep up by hand:
parameters and launch arguments from their declarations, messages from their definitions, engines from their
manifests, and one page of the API reference for each package. Runs in the environment of the built workspace
(``source env.sh``), because it imports the declarations.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from dsad_bringup.arguments import LAUNCH_ARGUMENTS, Argument
from dsad_bringup.camera_recipe import read_recipe
from dsad_common.parameters import Parameter
from dsad_detector.settings import PARAMETERS
from dsad_detector.track_settings import TRACK_PARAMETERS
from dsad_metrics.settings import METRICS, RECORDER
from dsad_replay.arguments import ARGUMENTS as REPLAY_ARGUMENTS
from dsad_source import bag_replay, frame_source, source_node

ROOT = Path(__file__).resolve().parents[1]
GENERATED = "<!-- Made by docs/generate.py; do not edit. -->\n"
#: (node, its parameters)
NODES = {
    "detector": (*PARAMETERS, *TRACK_PARAMETERS),
    "metrics": METRICS,
    "recorder": RECORDER,
    "frame_source": (*frame_source.TABLE, *source_node.COMMON),
    "bag_replay": (*bag_replay.TABLE, *source_node.COMMON),
}
#: Python packages of the API reference, by the folder that holds each.
API = {
    "dsad_core": ROOT / "dsad_core",
    "dsad_tools": ROOT / "dsad_tools",
    "dsad_training": ROOT / "training",
    "dsad_common": ROOT / "ros2_ws/src/dsad_common",
    "dsad_bringup": ROOT / "ros2_ws/src/dsad_bringup",
}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; bars in the cells are escaped."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [list(head), ["---"] * len(list(head)), *cells]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def parameters() -> str:
    """The page of all node parameters and launch arguments."""
    parts = [
        GENERATED,
        "# Parameters\n\n"
        "Set them in a `params_file`, on the command line of a node, or with `ros2 param set`. A bad value is "
        "refused by name. Arguments of a launch win over the file, and the file wins over the defaults. "
        "`ros2 param describe` prints the same texts.\n",
    ]
    for node, declared in NODES.items():
        parts += [
            f"\n## {node}\n\n",
            table(("name", "default", "range", "meaning"), map(_parameter, declared)),
        ]
    parts.append(
        "\n## Arguments of detector.launch.py\n\n"
        "Write `name:=value` behind `ros2 launch dsad_bringup detector.launch.py`. A launch that includes the file "
        "gives the names with `irst_` before them.\n\n"
    )
    parts.append(table(("name", "default", "meaning"), map(_argument, LAUNCH_ARGUMENTS)))
    parts.append("\n## Arguments of replay.launch.py and dsad up\n\n")
    parts.append(table(("name", "default", "meaning"), map(_argument, REPLAY_ARGUMENTS)))
    return "".join(parts)


def _parameter(parameter: Parameter) -> tuple[str, ...]:
    limits = ""
    if parameter.choices:
        limits = ", ".join(f"`{choice}`" if choice else "empty" for choice in parameter.choices)
    elif parameter.minimum is not None or parameter.maximum is not None:
        low, high = ("" if end is None else f"{end:g}" for end in (parameter.minimum, parameter.maximum))
        limits = f"{low} … {high}".strip()
    if parameter.unit:
        limits = f"{limits} {parameter.unit}".strip()
    default = parameter.default
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    fixed = " Fixed at start." if parameter.read_only else ""
    return f"`{parameter.name}`", f"`{shown}`" if shown else "", limits, parameter.description + fixed


def _argument(argument: Argument) -> tuple[str, ...]:
    choices = (
        " One of: " + ", ".join(f"`{choice}`" for choice in argument.choices) + "."
        if argument.choices
        else ""
    )
    default = f"`{argument.default}`" if argument.default else ""
    return f"`{argument.name}`", default, argument.description + choices


def cameras() -> str:
    """The page of the camera recipes."""
    folder = ROOT / "launch" / "cameras"
    parts = [
        GENERATED,
        "# Cameras\n\n"
        "`ros2 launch dsad_bringup detector.launch.py camera:=boson` takes topics and detector parameters from a recipe "
        "of `launch/cameras`. Arguments and a `params_file` of yours win over it. `camera:=<path>.yaml` takes a recipe "
        "of your own.\n\nThe detector follows the reliability of the driver (`image_reliability: auto`). Set the "
        "[Fast DDS profile](robot.md#middleware) for the driver too.\n",
    ]
    for path in sorted(folder.glob("*.yaml")):
        recipe = read_recipe(path.stem, folder)
        rows = [
            ("driver", f"`{recipe.driver}`"),
            ("start it", f"`{recipe.start}`"),
            ("frames", f"`{recipe.image_topic}`, {recipe.encoding}, {recipe.rate}"),
            ("calibration", f"`{recipe.camera_info_topic}`" if recipe.camera_info_topic else "none"),
            ("corrections", recipe.corrections),
            ("detector", ", ".join(f"`{name}: {value}`" for name, value in recipe.detector.items())),
        ]
        hardware = "" if recipe.run_on_hardware else " *Not run on hardware.*"
        parts += [f"\n## {path.stem}\n\n{recipe.camera}.{hardware}\n\n", table(("", ""), rows), "\n"]
        parts += [f"- {note}\n" for note in recipe.notes]
    return "".join(parts)


def messages() -> str:
    """The page of the message definitions, each comment beside its field."""
    parts = [
        GENERATED,
        "# Messages\n\nThe package `dsad_msgs`. Times are those of the frame unless it says so.\n",
    ]
    for path in sorted((ROOT / "ros2_ws/src/dsad_msgs/msg").glob("*.msg")):
        said, fields = _definition(path.read_text(encoding="utf-8"))
        parts += [f"\n## {path.stem}\n\n{said}\n\n", table(("type", "name", "meaning"), fields)]
    return "".join(parts)


def _definition(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """What a .msg file says of itself, and (type, name, comment) of its constants and fields."""
    said, fields = [], []
    for line in text.splitlines():
        content, _, comment = (part.strip() for part in line.partition("#"))
        if content:
            kind, name = content.split(maxsplit=1)
            fields.append((f"`{kind}`", f"`{name}`", comment))
        elif comment and not fields:
            said.append(comment)
    return " ".join(said), fields


def engines() -> Iterator[tuple[str, str]]:
    """(path, text) of the page of all engines and of each model card."""
    folders = sorted(path.parent for path in (ROOT / "edge_engines").glob("*/manifest.yaml"))
    rows, results = [], []
    for folder in folders:
        manifest = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))
        name = folder.name
        card = folder / "README.md"
        link = f"[{name}](engines/{name}.md)" if card.exists() else name
        if card.exists():
            yield f"engines/{name}.md", GENERATED + card.read_text(encoding="utf-8")
        rows.append(
            (
                link,
                f"{manifest['parameters']:,}" if manifest.get("parameters") is not None else "",
                f"{manifest['cost_gmac']:.2f}" if manifest.get("cost_gmac") is not None else "",
                manifest.get("distiller") or "",
                manifest.get("training_data") or "",
            )
        )
        results += [(name, *_result(result)) for result in manifest.get("test_results") or []]
    roles = {role: (ROOT / "edge_engines" / role).read_text().strip() for role in ("CAMERA", "DEFAULT")}
    yield (
        "engines.md",
        GENERATED
        + "# Engines and model cards\n\n"
        + f"`{roles['CAMERA']}` answers the frames of a camera or a recording. `{roles['DEFAULT']}` answers data sets. "
        + "`engine:=<name>` takes any other. An engine is a folder with `model.onnx` and `manifest.yaml`; one that does "
        + "not agree with its manifest is refused.\n\n"
        + table(("engine", "parameters", "GMAC at 256x256", "distilled by", "trained on"), rows)
        + "\n## Results on test splits\n\nRead from the manifests. Matching and threshold are those of each row; "
        + "[Metrics](metrics.md) has the definitions.\n\n"
        + table(
            ("engine", "set", "split hash", "images", "threshold", "matching", "IoU", "nIoU", "Pd", "Fa"),
            results,
        ),
    )


def _result(result: dict) -> tuple[object, ...]:
    def ratio(key):
        return "" if result.get(key) is None else f"{result[key]:.4f}"

    hits = (result.get("counts") or {}).get("hits")
    found = f"{ratio('pd')} ({hits} / {result['targets']})" if hits is not None else ratio("pd")
    fa = "" if result.get("fa") is None else f"{result['fa'] * 1e5:.2f}e-5"
    facts = (result.get(key, "") for key in ("data_set", "split_hash", "images", "threshold", "matching"))
    return *facts, ratio("iou"), ratio("niou"), found, fa


def api() -> Iterator[tuple[str, str]]:
    """(path, text) of the reference: its first page and one page for each package and subpackage."""
    listed = []
    for package, folder in API.items():
        pages: dict[str, list[str]] = {}
        for path in sorted((folder / package).rglob("*.py")):
            module = ".".join(path.relative_to(folder).with_suffix("").parts)
            documented = (path.parent / "__init__.py").exists()  # the reference knows no namespace packages
            if path.stem.startswith("_") or ".cli" in module or not documented:
                continue
            pages.setdefault(
                ".".join(module.split(".")[:2]) if module.count(".") > 1 else package, []
            ).append(module)
        listed.append(f"\n## {package}\n\n")
        for page, modules in sorted(pages.items()):
            yield (
                f"api/{page}.md",
                f"{GENERATED}# {page}\n\n" + "".join(f"::: {name}\n\n" for name in modules),
            )
            names = ", ".join(f"`{name.removeprefix(page + '.')}`" for name in modules)
            listed.append(f"- [{page}](api/{page}.md): {names}\n")
    yield "api.md", f"{GENERATED}# API reference\n\nMade from the docstrings.\n" + "".join(listed)


def generate(out: Path) -> None:
    """Write all pages below ``out``, which is emptied first."""
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(ROOT / "docs", out, ignore=shutil.ignore_patterns("*.py", "__pycache__", "examples"))
    shutil.copytree(ROOT / "docs" / "examples", out / "examples")
    pages = [
        ("parameters.md", parameters()),
        ("messages.md", messages()),
        ("cameras.md", cameras()),
        *engines(),
        *api(),
    ]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    pages.append(("changelog.md", GENERATED + changelog))
    for name, text in pages:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/generate.py FOLDER")
    generate(Path(sys.argv[1]))
