"""Table 7: the paper's latencies of teachers and students, and ours by ``dsad bench engine``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dsad_core.errors import UsageError
from dsad_training.tables.paper import LATENCY_TABLE, load_paper

#: Side of the paper's images, px.
SIDE = 256
#: What ``dsad bench engine --networks --out`` wrote here.
BENCH = Path(__file__).parent / "bench.json"


@dataclass(frozen=True)
class Measured:
    """Ours of a pair: ms at p50 of one image, and the median ratio of the turns that both took."""

    pair: tuple[str, str]
    contender: str
    threads: int
    teacher: float
    student: float
    speedup: float


def read_bench(path: Path) -> tuple[str, list[Measured]]:
    """The processor, and the paper's pairs at the paper's image size, out of ``bench.json``.

    Raises:
        UsageError: it cannot be read, or holds no such pair.
    """
    try:
        report = json.loads(path.read_text())
        found = [measured for entry in report["speedups"] if (measured := _measured(entry)) is not None]
        machine = report["machine"]["accelerator"] or report["machine"]["cpu"]
    except OSError as error:
        raise UsageError(f"--bench {path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--bench {path}: not what dsad bench engine --out writes") from error
    if not found:
        raise UsageError(
            f"--bench {path}: holds no teacher with its student at {SIDE}x{SIDE}; "
            "dsad bench engine --networks measures them"
        )
    return machine, found


def latency_table(bench: Path) -> Table:
    """The paper's rows, then ours out of ``bench.json``."""
    latency = load_paper().latency
    table = narrow_table(f"Table {LATENCY_TABLE}: {latency.caption}, ms for one {SIDE}x{SIDE} image")
    for heading in ("platform", "teacher", "student"):
        table.add_column(heading, no_wrap=True)
    for heading in ("teacher", "student", "saved", "speedup"):
        table.add_column(heading, justify="right", no_wrap=True)
    for platform, entries in latency.platforms.items():
        for pair, entry in zip(latency.pairs, entries):
            figures = (str(value) for value in (entry.teacher, entry.student, entry.decline))
            table.add_row(platform, *pair, *figures, f"{entry.speedup}x", style="dim")
    machine, found = read_bench(bench)
    table.add_section()
    table.add_row(f"ours, {machine}")
    for one in found:
        saved = one.teacher - one.student
        table.add_row(
            f"  {one.contender}, {_threads(one.threads)}",
            *one.pair,
            f"{one.teacher:.4g}",
            f"{one.student:.4g}",
            f"{saved:.4g}",
            f"{one.speedup:.3g}x",
        )
    return table


def latency_dict(bench: Path) -> dict[str, Any]:
    """The same, ready for JSON."""
    latency = load_paper().latency
    machine, found = read_bench(bench)
    rows = [
        {
            "platform": platform,
            "teacher": pair[0],
            "student": pair[1],
            "paper": {name: float(value) for name, value in entry.model_dump().items()},
        }
        for platform, entries in latency.platforms.items()
        for pair, entry in zip(latency.pairs, entries)
    ]
    return {
        "table": LATENCY_TABLE,
        "caption": latency.caption,
        "units": "ms",
        "rows": rows,
        "machine": machine,
        "ours": [asdict(one) for one in found],
    }


def narrow_table(title: str) -> Table:
    """A table whose columns are one blank apart."""
    return Table(
        title=title,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _measured(entry: dict[str, Any]) -> Measured | None:
    paper = load_paper()
    known = {(one.name, one.width): name for name, one in paper.networks.items() if one.spatial != "dsa"}
    pair = tuple(known.get((entry["network"], width), "") for width in entry["widths"])
    if pair not in paper.latency.pairs or (entry["width"], entry["height"]) != (SIDE, SIDE):
        return None
    slow, fast = entry["milliseconds"]
    return Measured(pair, entry["contender"], entry["threads"], slow, fast, entry["speedup"])


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"
