"""Whatever a path holds, as a source of samples."""

from pathlib import Path

from dsad_core.errors import DataError
from dsad_tools.bags.source import BagSource
from dsad_tools.data.dataset import SirstDataset
from dsad_tools.data.images import list_images
from dsad_tools.data.sample import SampleSource
from dsad_tools.data.sequence import VIDEO_EXTENSIONS, AnnotatedSequence, ImageFolder, VideoFile

BAG_EXTENSIONS = (".mcap", ".db3", ".bag")


def open_source(path: str | Path, split: str = "test") -> SampleSource:
    """Tell what ``path`` is by what it holds, and open it.

    ======================================  ==========================================
    a folder with ``images/`` and ``masks/``  `SirstDataset`, of which ``split`` is taken
    a folder with ``gt.csv``                  `AnnotatedSequence`
    a folder with ``metadata.yaml`` or bag files, or a .mcap or .db3 file  `BagSource`
    a folder of images                        `ImageFolder`
    a video file                              `VideoFile`
    ======================================  ==========================================

    Raises:
        DataError, BagError: there is nothing of the kind, or what is there is malformed.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix in BAG_EXTENSIONS:
            return BagSource(path)
        if suffix in VIDEO_EXTENSIONS:
            return VideoFile(path)
        raise DataError(
            f"{path}: neither a video ({', '.join(VIDEO_EXTENSIONS)}) nor a bag "
            f"({', '.join(BAG_EXTENSIONS[:2])})"
        )
    if (path / "images").is_dir() and (path / "masks").is_dir():
        return SirstDataset(path, split)
    if (path / "gt.csv").is_file():
        return AnnotatedSequence(path)
    if (path / "metadata.yaml").is_file() or any(entry.suffix in BAG_EXTENSIONS for entry in path.iterdir()):
        return BagSource(path)
    folder = path / "images" if (path / "images").is_dir() else path
    if list_images(folder):
        return ImageFolder(folder)
    raise DataError(
        f"{path}: holds none of images/ with masks/ (a data set), gt.csv (an annotated "
        "sequence), metadata.yaml (a bag) or images"
    )
