"""The documents that people read first: short, with links that lead somewhere and figures that the manifests prove."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dsad_common import topics

ROOT = Path(__file__).resolve().parents[1]
#: (document, most lines)
LIMITS = {"README.md": 150, "training/README.md": 120}
DOCUMENTS = [
    *LIMITS,
    *("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md"),
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
#: Pages that docs/generate.py makes.
MADE = {"parameters.md", "messages.md", "cameras.md", "engines.md", "api.md", "changelog.md"}


@pytest.mark.parametrize(("name", "most"), LIMITS.items())
def test_it_is_short(name, most):
    assert len((ROOT / name).read_text().splitlines()) <= most


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_pictures_lead_somewhere(name):
    path = ROOT / name
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
        made = target in MADE or target.startswith("engines/")
        if not target.startswith("http") and not (made and path.parent.name == "docs"):
            assert (path.parent / target).exists(), target


def test_every_topic_is_explained():
    page = (ROOT / "docs" / "topics.md").read_text()
    for name, kind in topics.TYPES.items():
        row = next((line for line in page.splitlines() if line.startswith(f"| `{name}`")), "")
        assert kind.replace("/msg/", "/") in row, name


def results():
    """(engine, data set) -> the manifest's test result."""
    for path in (ROOT / "edge_engines").glob("*/manifest.yaml"):
        for result in yaml.safe_load(path.read_text()).get("test_results") or []:
            yield (path.parent.name, result["split_hash"]), result


@pytest.mark.parametrize("name", LIMITS)
def test_figures_are_those_of_the_manifests(name):
    known = dict(results())
    rows = re.findall(
        r"^\| `([\w-]+)`.*\| (0\.\d{4}) \| (0\.\d{4}) \| (\d\.\d\d)e-5 \|$", (ROOT / name).read_text(), re.M
    )
    assert len(rows) >= 3
    for engine, iou, pd, fa in rows:
        line = next(
            line for line in (ROOT / name).read_text().splitlines() if f"`{engine}`" in line and iou in line
        )
        split = re.search(r"\(([0-9a-f]{12})\)", line)
        result = known[engine, split[1] if split else "badb90b3a1a9"]
        said = (f"{result['iou']:.4f}", f"{result['pd']:.4f}", f"{result['fa'] * 1e5:.2f}")
        assert (iou, pd, fa) == said, engine


def test_the_moving_picture_is_small():
    assert (ROOT / "docs" / "assets" / "tracks.gif").stat().st_size <= 1_000_000


def test_pages_are_made_from_the_code(tmp_path):
    """What the site adds to the pages by hand: every parameter, message, recipe and engine."""
    command = [sys.executable, ROOT / "docs" / "generate.py", tmp_path / "pages"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    pages = {name: (tmp_path / "pages" / name).read_text() for name in MADE}
    assert "| `crop_top` | `0` | 0 … 16384 px |" in pages["parameters.md"]
    assert "| `int32` | `best` |" in pages["messages.md"]
    for folder, kind, page in (
        ("ros2_ws/src/dsad_msgs/msg", "*.msg", "messages.md"),
        ("launch/cameras", "*.yaml", "cameras.md"),
    ):
        for path in (ROOT / folder).glob(kind):
            assert f"\n## {path.stem}\n" in pages[page]
    for path in (ROOT / "edge_engines").glob("*/manifest.yaml"):
        assert path.parent.name in pages["engines.md"]
    assert "[dsad_core.tracking](api/dsad_core.tracking.md)" in pages["api.md"]
    named = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    assert all((tmp_path / "pages" / name).exists() for name in named)
