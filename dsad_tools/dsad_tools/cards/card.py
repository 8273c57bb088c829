"""An engine's model card (Mitchell et al., FAT* 2019), written from its manifest alone."""

from importlib.resources import files
from pathlib import Path

import jinja2
import yaml

from dsad_core.engines.locate import engine_for
from dsad_core.engines.manifest import Manifest, load_manifest, read_manifest
from dsad_core.files import write_atomic
from dsad_tools.analysis.canvas import png
from dsad_tools.cards.figure import held_out_figure

CARD_FILE = "README.md"
FIGURE_FILE = "held_out.png"
#: Students have at most so many channels at full size (paper, section IV).
STUDENT_WIDTH = 8


def write_card(folder: str | Path) -> Path:
    """Write ``README.md`` and, where held-out images were measured, ``held_out.png`` into an engine's folder.

    Returns:
        Path of the card.

    Raises:
        EngineError: the folder holds no valid engine.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    if manifest.threshold_choice or manifest.calibration:
        write_atomic(folder / FIGURE_FILE, png(held_out_figure(manifest)))
    write_atomic(folder / CARD_FILE, render(manifest))
    return folder / CARD_FILE


def render(manifest: Manifest) -> str:
    """The card as Markdown."""
    known = yaml.safe_load(files("dsad_tools.cards").joinpath("uses.yaml").read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsad_tools", "cards"),
        autoescape=False,  # Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["share"] = lambda value: "-" if value is None else f"{value:.4f}"
    facts = {"steps": None, "recipe_changes": [], **(manifest.provenance.model_extra or {})}
    return environment.get_template("card.md.j2").render(
        manifest=manifest,
        use=known["uses"][_kind(manifest)],
        trained=manifest.training_data is not None,
        facts=facts,
        sets=[(name, known["data"][name]) for name in _sets(manifest) if name in known["data"]],
        choice=manifest.threshold_choice,
        figure=FIGURE_FILE if manifest.threshold_choice or manifest.calibration else None,
    )


def _kind(manifest: Manifest) -> str:
    if manifest.training_data is None:
        return "baseline"
    if manifest.width and manifest.width > STUDENT_WIDTH:
        return "teacher"
    # In whatever precision it computes.
    return "camera" if manifest.sha256 == read_manifest(engine_for("camera")).sha256 else "data set"


def _sets(manifest: Manifest) -> list[str]:
    trained = (manifest.training_data or "").removesuffix(" train")
    return trained.split(" + ") if trained else []
