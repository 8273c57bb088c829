"""A folder of annotated sequences, and a list that names some of them."""

from pathlib import Path

from dsad_core.errors import DataError
from dsad_tools.data.open import open_source
from dsad_tools.data.sample import SampleSource


def open_sequences(path: str | Path, clips: str | Path | None = None) -> list[SampleSource]:
    """The sequence at ``path``, or all annotated sequences in its folders, in the order of their names.

    Args:
        clips: a text file with the names of the folders to take, one a line; ``#`` begins a comment.

    Raises:
        DataError: no sequence, a name without a folder, or an unreadable list.
    """
    path = Path(path)
    if not path.is_dir() or (path / "gt.csv").is_file():
        if clips is not None:
            raise DataError(f"{path} is one sequence: a list of clips goes with a folder of sequences")
        return [open_source(path)]
    folders = {entry.name: entry for entry in sorted(path.iterdir()) if (entry / "gt.csv").is_file()}
    if not folders:
        # Bags and scenes are one source too; what is none of anything says so by itself.
        return [open_source(path)]
    names = list(folders) if clips is None else _read(Path(clips))
    absent = [name for name in names if name not in folders]
    if absent:
        raise DataError(f"{clips}: {absent[0]} is no annotated sequence of {path} ({len(absent)} such names)")
    return [open_source(folders[name]) for name in names]


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable list of clips ({error})") from None
    names = [name for line in lines if (name := line.split("#")[0].strip())]
    if not names:
        raise DataError(f"{path}: names no clip")
    return names
