"""Still-image data sets in the layout of the SIRST family (NUAA-SIRST, NUDT-SIRST, IRSTD-1k)."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dsad_core.errors import DataError
from dsad_tools.data.images import EXTENSIONS, list_images, read_grey, read_mask
from dsad_tools.data.sample import Sample


class SirstDataset:
    """Images with exact masks, decoded one by one as they are asked for.

    ``folder`` holds ``images/<id>.*`` and ``masks/<id>.*`` (or ``<id>_pixels0.*``, as NUAA-SIRST is
    published). The split ``test`` is the one file among ``test.txt``, ``<any>/test.txt`` and
    ``<any>/test_<name>.txt``, one id a line; ``train`` may also be called ``trainval``; ``all`` is every
    image and needs no file. Where several files fit, name one: ``split="50_50/test"``.

    A mask of another size than its image is resized (nearest) to the image, and said in ``notes``; in
    NUAA-SIRST that is Misc_111.

    Args:
        folder: data set folder.
        split: ``test``, ``train``, ``all``, or a split file relative to ``folder`` with or without .txt.

    Raises:
        DataError: folders, files or the split are missing, ambiguous or empty. Decoding a sample raises
            it for a damaged file.
    """

    kind = "dataset"
    fps: float | None = None

    def __init__(self, folder: str | Path, split: str = "test"):
        self.folder = Path(folder)
        self.split = split
        self.name = self.folder.resolve().name
        self.notes: list[str] = []
        self._images = _by_stem(self.folder / "images")
        self._masks = {
            stem.removesuffix("_pixels0"): path for stem, path in _by_stem(self.folder / "masks").items()
        }
        self.ids = list(self._images) if split == "all" else _read_ids(_find_split(self.folder, split))
        self._require("images", self._images)
        self._require("masks", self._masks)
        self.split_hash = hashlib.sha256("\n".join(sorted(self.ids)).encode()).hexdigest()[:12]

    def _require(self, what: str, files: dict[str, Path]) -> None:
        missing = [name for name in self.ids if name not in files]
        if missing:
            named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise DataError(
                f"{self.folder / what}: {len(missing)} of {len(self.ids)} files of split "
                f"'{self.split}' are missing ({named}); complete the folder or the split file"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        image = read_grey(self._images[name])
        mask = read_mask(self._masks[name])
        if mask.shape != image.shape:
            note = (
                f"{name}: mask {mask.shape[1]}x{mask.shape[0]} resized (nearest) to the image, "
                f"{image.shape[1]}x{image.shape[0]}"
            )
            if note not in self.notes:
                self.notes.append(note)
            mask = cv2.resize(mask, image.shape[::-1], interpolation=cv2.INTER_NEAREST)
        return Sample(name, image, np.ascontiguousarray(mask))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; a data set holds images/, masks/ and a split such as 50_50/test.txt"
        )
    files: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in files:
            raise DataError(f"{folder}: {files[path.stem].name} and {path.name} claim the same id; keep one")
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder}: holds no image ({', '.join(EXTENSIONS)})")
    return files


def _find_split(folder: Path, split: str) -> Path:
    named = folder / (split if split.endswith(".txt") else f"{split}.txt")
    if "/" in split or split.endswith(".txt"):
        if not named.is_file():
            raise DataError(f"{named}: no such split file")
        return named
    for word in (split, "trainval") if split == "train" else (split,):
        found = sorted(
            {*folder.glob(f"{word}.txt"), *folder.glob(f"*/{word}.txt"), *folder.glob(f"*/{word}_*.txt")}
        )
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(folder).with_suffix("")) for path in found)
            raise DataError(
                f"{folder}: several files could be split '{split}': {names}; give one of them as the split"
            )
        if found:
            return found[0]
    raise DataError(
        f"{folder}: no split '{split}' (looked for {split}.txt, */{split}.txt and "
        f"*/{split}_*.txt); add the file or use the split 'all'"
    )


def _read_ids(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable split file ({error})") from None
    ids = [
        line.removesuffix(Path(line).suffix) if line.lower().endswith(EXTENSIONS) else line for line in lines
    ]
    if not ids:
        raise DataError(f"{path}: names no image; write one id a line")
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DataError(f"{path}: names {', '.join(repeated[:3])} more than once; each image counts once")
    return ids
