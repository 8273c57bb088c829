"""Decoding data sets into packed tensors, with progress on a terminal."""

from collections.abc import Iterable
from dataclasses import replace

from rich.console import Console
from rich.progress import track

from dsad_tools.data.dataset import SirstDataset
from dsad_tools.data.images import list_images
from dsad_tools.data.sample import Sample
from dsad_training.data.cache import cached
from dsad_training.data.packed import PackedSet, pack


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
        data = packed_samples(source, len(source), f"decoding {source.name} {source.split}")
        return replace(data, notes=tuple(source.notes))

    return cached(f"{source.name}-{source.split}", [str(folder), source.split], [source.ids, files], build)


def packed_samples(samples: Iterable[Sample], count: int, title: str) -> PackedSet:
    """Samples with masks, packed; progress on a terminal."""
    console = Console(stderr=True)
    shown = track(
        samples, title, total=count, console=console, transient=True, disable=not console.is_terminal
    )
    return pack((sample.name, sample.image, sample.truth) for sample in shown)
