"""What a training reads: data sets cut into a trained and a held-out part, and generated frames beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsad_core.errors import UsageError
from dsad_tools.data.dataset import SirstDataset
from dsad_training.data.augmentation import Augmentation
from dsad_training.data.batches import Batches
from dsad_training.data.cache import cached
from dsad_training.data.decode import packed_dataset, packed_samples
from dsad_training.data.packed import PackedSet, join, split
from dsad_training.data.paste import Patches, cut_patches
from dsad_training.data.synthetic import synthetic_samples
from dsad_training.data.union import load_union
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
        shares: (g,) share of the crops from each set of a union, else None.
        patches: targets of ``kept`` that may be pasted; None unless the recipe pastes.
    """

    kept: PackedSet
    everything: PackedSet
    held_out: PackedSet | None
    facts: dict[str, Any]
    notes: tuple[str, ...]
    shares: Tensor | None = None
    patches: Patches | None = None

    def batches(self, all_images: bool, augmentation: Augmentation, generator: torch.Generator) -> Batches:
        """Batches of what a phase trains on."""
        data = self.everything if all_images else self.kept
        return Batches(data, augmentation, generator, shares=self.shares, patches=self.patches)


def load_training_data(
    folders: Sequence[str | Path], part: DataPart, seed: int, device: str | torch.device = "cpu"
) -> TrainingData:
    """Read what a recipe asks for: the split ``train`` of each folder, or the recipe's union in the one folder.

    Args:
        seed: draws the validation part of data sets that are no union, from all of them.

    Raises:
        DataError: a data set cannot be read, or the validation part would leave nothing.
        UsageError: a union is given several folders, or soft labels of other images.
    """
    if part.sources:
        if len(folders) != 1:
            raise UsageError("a recipe with data.sources takes one --data: the folder that holds all of them")
        kept, held_out, shares, facts = load_union(Path(folders[0]), part)
        everything = kept
    else:
        sources = [SirstDataset(folder, "train") for folder in folders]
        real = reduce(join, map(packed_dataset, sources))
        everything, (kept, held_out) = real, split(real, part.validation, seed)
        shares = None
        facts = {
            "data": " + ".join(source.name for source in sources),
            "split_hash": " + ".join(source.split_hash for source in sources),
            "train_images": len(real),
        }
    notes = everything.notes
    if part.synthetic:
        generated = packed_scenes(**part.synthetic.model_dump(exclude={"share"}))
        if shares is not None:
            # One more group of the union.
            generated = replace(generated, group=torch.full((len(generated),), len(shares)))
            share = part.synthetic.share
            shares = torch.cat([(1 - share) * shares, torch.tensor([share])])
        everything, kept = join(everything, generated), join(kept, generated)
    facts["synthetic_images"] = part.synthetic.images if part.synthetic else 0
    patches = None
    if part.augmentation.paste:
        loose = {number for number, source in enumerate(part.sources) if source.kind == "recordings"}
        patches = cut_patches(kept, loose)
    whole = kept is everything
    kept = kept.to(device)
    everything = kept if whole else everything.to(device)
    return TrainingData(
        kept,
        everything,
        held_out.to(device) if held_out else None,
        facts,
        notes,
        shares=None if shares is None else shares.to(device),
        patches=None if patches is None else patches.to(device),
    )


def packed_scenes(**options: Any) -> PackedSet:
    """Frames of :func:`synthetic_samples` with these options, generated or mapped from the cache."""
    samples = partial(synthetic_samples, **options)
    name = f"synthetic-{options['terrain']}"
    return cached(
        name, options, None, lambda: packed_samples(samples(), options["images"], "generating scenes")
    )
