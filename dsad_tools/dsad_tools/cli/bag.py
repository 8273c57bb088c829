"""``dsad bag``: make an infrared rosbag2 with ground truth, and look into one."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from dsad_core.errors import UsageError
from dsad_tools.bags.read import BagInfo, BagReader
from dsad_tools.bags.write import BagWriter
from dsad_tools.data.open import open_source
from dsad_tools.data.sample import SampleSource
from dsad_tools.data.sequence import DEFAULT_FPS
from dsad_tools.scenes.generator import SceneGenerator

SYNTHETIC = "synthetic"
console = Console(highlight=False)
bag_app = typer.Typer(
    help="Make an infrared rosbag2 with ground truth, and look into one.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add ``dsad bag``."""
    app.add_typer(bag_app, name="bag")


@bag_app.command()
def make(
    source: Annotated[
        str, typer.Argument(help=f"Data set, image folder, annotated sequence, video, bag, or '{SYNTHETIC}'.")
    ],
    out: Annotated[Path, typer.Argument(help="Bag folder to make.")],
    split: Annotated[str, typer.Option(help="Split of a data set: train, test, all, or a file.")] = "test",
    storage: Annotated[str, typer.Option(help="mcap or sqlite3.")] = "mcap",
    fps: Annotated[float | None, typer.Option(help="Frames a second; by default the source's.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the frames; as stored by default.")] = None,
    limit: Annotated[int | None, typer.Option(help="Take the first so many frames.", min=1)] = None,
    namespace: Annotated[str, typer.Option(help="Of the topics.")] = "/irst",
    frames: Annotated[int, typer.Option(help=f"Length of '{SYNTHETIC}'.", min=1)] = 300,
    size: Annotated[str, typer.Option(help=f"WIDTHxHEIGHT of '{SYNTHETIC}'.")] = "256x256",
    seed: Annotated[int, typer.Option(help=f"Of '{SYNTHETIC}'.", min=0)] = 0,
    dtype: Annotated[str, typer.Option(help=f"Pixels of '{SYNTHETIC}': uint8 or uint16.")] = "uint8",
    terrain: Annotated[str, typer.Option(help=f"Of '{SYNTHETIC}': mixed, cloud, sea or terrain.")] = "mixed",
) -> None:
    """Write a source of frames as a bag, with ground truth where the source has it."""
    samples: SampleSource
    if source == SYNTHETIC:
        width, height = _size(size)
        samples = SceneGenerator(height, width, frames, seed, dtype, terrain=terrain)
    else:
        samples = open_source(source, split)
    total = min(len(samples), limit or len(samples))
    rate = fps if fps is not None else samples.fps or DEFAULT_FPS
    with BagWriter(out, storage, rate, namespace, origin=_origin(samples, total)) as bag:
        for sample in track(samples, f"Writing {out}", total, console=console, transient=True):
            bag.write(sample, encoding)
            if bag.frames == total:
                break
    for note in samples.notes:
        console.print(f"note: {note}", soft_wrap=True)
    info(out)


@bag_app.command()
def info(
    bag: Annotated[Path, typer.Argument(help="rosbag2 folder, .mcap or .db3 file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show duration, topics and message counts of a bag."""
    found = BagReader(bag).info()
    if as_json:
        print(json.dumps(_as_dict(found), indent=2))
        return
    seconds = found.duration_ns / 1e9
    console.print(
        f"[bold]{bag}[/]  {found.storage}, {found.size_bytes / 2**20:.1f} MiB, "
        f"{found.messages} messages, {seconds:.3f} s",
        soft_wrap=True,
    )
    table = Table(
        Column("topic", no_wrap=True),
        Column("type", no_wrap=True),
        Column("count", justify="right"),
        Column("Hz", justify="right"),
        "offered",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for topic in found.topics:
        rate = f"{(topic.count - 1) / seconds:.2f}" if seconds and topic.count > 1 else "–"
        table.add_row(topic.name, topic.type, str(topic.count), rate, _reliability(topic.qos))
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _origin(samples: SampleSource, total: int) -> dict[str, str]:
    """What the bag may say it is. Of a part of a split, the split's hash would be a lie."""
    split = getattr(samples, "split", "")
    if total < len(samples):
        return {"data_set": samples.name, "split": f"{split} (first {total})".strip(), "split_hash": ""}
    return {"data_set": samples.name, "split": split, "split_hash": samples.split_hash}


def _as_dict(found: BagInfo) -> dict:
    return {
        "path": str(found.path),
        "storage": found.storage,
        "size_bytes": found.size_bytes,
        "messages": found.messages,
        "start_ns": found.start_ns,
        "duration_ns": found.duration_ns,
        "topics": [vars(topic) for topic in found.topics],
        "notes": list(found.notes),
    }


def _reliability(qos: str) -> str:
    """The part of the profiles that decides who can subscribe; --json has all of it."""
    return ", ".join(dict.fromkeys(profile.split()[0] for profile in qos.split(", "))) if qos else "–"


def _size(text: str) -> tuple[int, int]:
    """Width and height of ``640x512``."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise UsageError(f"size '{text}' is not WIDTHxHEIGHT, such as 640x512")
    return int(width), int(height)
