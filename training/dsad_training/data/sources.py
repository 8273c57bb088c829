"""What a training reads: training splits of data sets, cut by the seed, and generated frames beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from dsad_tools.data.dataset import SirstDataset
from dsad_tools.data.images import list_images
from dsad_tools.data.sample import Sample
from dsad_training.data.cache import cached
from dsad_training.data.packed import PackedSet, join, pack, split
from dsad_training.data.synthetic import synthetic_samples
from dsad_training.recipe import DataPart


@dataclass(frozen=True)
class TrainingData:
    """The images of a training.

    Attributes:
        kept: what is trained on: the training split but for the validation part, and generated frames.
        everything: the same with the validation part, for phases with ``all_images``.
        held_out: the validation part, never a generated frame; None where the recipe cuts none.
        facts: what run records say: ``data`` and ``split_hash``, several joined by " + "; ``train_images``
            (of the splits, the validation part included) and ``synthetic_images``.
        notes: what was done to single images, one line each.
    """

    kept: PackedSet
    everything: PackedSet
    held_out: PackedSet | None
    facts: dict[str, Any]
    notes: tuple[str, ...]


def load_training_data(
    folders: Sequence[str | Path], part: DataPart, seed: int, device: str | torch.device = "cpu"
) -> TrainingData:
    """Read the split ``train`` of one data set or more as a recipe asks for.

    Args:
        seed: draws the validation part, from all of them.

    Raises:
        DataError: a data set cannot be read, or the validation part would leave nothing.
    """
    sources = [SirstDataset(folder, "train") for folder in folders]
    real = reduce(join, map(packed_dataset, sources))
    everything, (kept, held_out) = real, split(real, part.validation, seed)
    if part.synthetic:
        generated = packed_scenes(**part.synthetic.model_dump())
        everything, kept = join(everything, generated), join(kept, generated)
    facts = {
        "data": " + ".join(source.name for source in sources),
        "split_hash": " + ".join(source.split_hash for source in sources),
        "train_images": len(real),
        "synthetic_images": part.synthetic.images if part.synthetic else 0,
    }
    return TrainingData(
        kept.to(device), everything.to(device), held_out.to(device) if held_out else None, facts, real.notes
    )


def packed_dataset(source: SirstDataset) -> PackedSet:
    """A split decoded, or mapped from the cache while neither its ids nor the folder's files changed."""
    folder = source.folder.resolve()
    files = [
        (path.name, status.st_size, status.st_mtime_ns)
        for part in ("images", "masks")
        for path in list_images(folder / part)
        for status in [path.stat()]
    ]

    def build() -> PackedSet:
        data = _pack(source, len(source), f"decoding {source.name} {source.split}")
        return replace(data, notes=tuple(source.notes))

    return cached(f"{source.name}-{source.split}", [str(folder), source.split], [source.ids, files], build)


def packed_scenes(**options: Any) -> PackedSet:
    """Frames of :func:`synthetic_samples` with these options, generated or mapped from the cache."""
    samples = partial(synthetic_samples, **options)
    name = f"synthetic-{options['terrain']}"
    return cached(name, options, None, lambda: _pack(samples(), options["images"], "generating scenes"))


def _pack(samples: Iterable[Sample], count: int, title: str) -> PackedSet:
    console = Console(stderr=True)
    shown = track(
        samples, title, total=count, console=console, transient=True, disable=not console.is_terminal
    )
    return pack((sample.name, sample.image, sample.mask) for sample in shown)
