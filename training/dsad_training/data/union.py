"""A union of data sets of different kinds under one folder, cut by split files that name what is held out."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dsad_core.errors import DataError
from dsad_tools.data.dataset import SirstDataset
from dsad_tools.data.images import list_images, read_grey
from dsad_tools.data.sample import Sample
from dsad_tools.data.sequence import AnnotatedSequence
from dsad_training.data.boxes import mask_from_boxes
from dsad_training.data.cache import cached
from dsad_training.data.decode import packed_dataset, packed_samples
from dsad_training.data.packed import PackedSet, join
from dsad_training.recipe import DataPart, SourcePart

#: Split files of the recipes, one name a line.
SPLITS = Path(__file__).parents[2] / "splits"


def load_union(root: Path, part: DataPart) -> tuple[PackedSet, PackedSet | None, Tensor, dict[str, Any]]:
    """The trained part, the held-out part or None, the sets' shares of the crops (g,), and facts for the record.

    Raises:
        DataError: a set or a split file cannot be read, or names what is not there.
    """
    kept: list[PackedSet] = []
    held_out: list[PackedSet] = []
    for number, source in enumerate(part.sources):
        data = load_source(root, source)
        names = read_names(source.validation) if source.validation else set()
        known = {name.split("/")[0] for name in data.names}
        if absent := sorted(names - known):
            raise DataError(
                f"{SPLITS / str(source.validation)}: {absent[0]} is not in {root / source.folder}"
            )
        chosen = np.array([name.split("/")[0] in names for name in data.names])
        if chosen.all():
            raise DataError(f"{SPLITS / str(source.validation)}: holds out all of {root / source.folder}")
        for target, side in ((kept, ~chosen), (held_out, chosen)):
            if side.any():
                part_of_set = data.subset(np.flatnonzero(side).tolist())
                target.append(replace(part_of_set, group=torch.full((len(part_of_set),), number)))
    shares = torch.tensor([source.share or 0.0 for source in part.sources])
    roots = torch.tensor([len(data) ** 0.5 for data in kept])
    # Sets without a share of their own divide what the others leave.
    left = (1 - shares.sum()).clamp(min=0)
    shares = torch.where(shares > 0, shares, left * roots / roots[shares == 0].sum().clamp(min=1))
    trained = reduce(join, kept)
    facts = {
        "data": " + ".join(source.folder for source in part.sources),
        "split_hash": " + ".join(names_hash(data.names) for data in kept),
        "train_images": len(trained),
    }
    if part.soft:
        trained = replace(trained, soft=read_soft(Path(part.soft), trained))
    return trained, reduce(join, held_out) if held_out else None, shares, facts


def load_source(root: Path, source: SourcePart) -> PackedSet:
    """All images of one set, packed; names of a recording's frames are ``<recording>/<frame>``."""
    folder = root / source.folder
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; --data is the folder that holds all sets of the recipe")
    if source.kind == "masks":
        data = packed_dataset(SirstDataset(folder, source.split))
        if not source.sided:
            return data
        sided = read_names(source.sided)
        return replace(data, sided=torch.tensor([name in sided for name in data.names]))
    samples = (
        background_samples(folder) if source.kind == "background" else recording_samples(folder, source.every)
    )
    files = [(str(path.relative_to(folder)), path.stat().st_size) for path in sorted(folder.rglob("*.*"))]
    identity = [str(folder.resolve()), source.kind, source.every]
    return cached(
        source.folder, identity, files, lambda: packed_samples(samples, 0, f"decoding {source.folder}")
    )


def background_samples(folder: Path) -> Iterator[Sample]:
    """The stills in ``folder``/images, none of which holds a target."""
    for path in list_images(folder / "images"):
        image = read_grey(path)
        yield Sample(path.stem, image, np.zeros(image.shape, np.uint8))


def recording_samples(folder: Path, every: int) -> Iterator[Sample]:
    """One labelled frame of ``every`` of each recording in ``folder``, with masks made from its boxes."""
    for path in sorted(path.parent for path in folder.glob("*/gt.csv")):
        for number, sample in enumerate(AnnotatedSequence(path)):
            if number % every == 0 and sample.boxes is not None:
                mask = mask_from_boxes(sample.image, sample.boxes)
                yield Sample(f"{path.name}/{sample.name}", sample.image, mask)


def read_names(file: str) -> set[str]:
    """The names in a file under ``SPLITS``."""
    try:
        return set((SPLITS / file).read_text().split())
    except OSError as error:
        raise DataError(f"{SPLITS / file}: cannot be read ({error.strerror})") from None


def names_hash(names: tuple[str, ...]) -> str:
    """First 12 hex digits of a split's identity, as :class:`SirstDataset` has it."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]


def read_soft(path: Path, data: PackedSet) -> Tensor:
    """A teacher's answers (pixels,) uint8 for exactly these images.

    Raises:
        DataError: no such file, damaged, or made for other images.
    """
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("images") != names_hash(data.names):
                raise DataError(f"{path}: holds answers for other images; make it anew by `dsad soft-labels`")
            return file.get_tensor("soft")
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable file of soft labels ({error})") from None
