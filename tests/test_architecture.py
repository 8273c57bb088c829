"""The layout tells the architecture: imports run one way and every package introduces itself alike."""

import ast
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "ros2_ws" / "src"
HEADINGS = ["Purpose", "How it works", "Topics", "Parameters", "Limits"]

# For each tree, what it may not import.
FORBIDDEN = {
    ROOT / "dsad_core" / "dsad_core": {"torch", "rclpy", "dsad_training", "dsad_common", "dsad_msgs"},
    ROOT / "training" / "dsad_training": {"rclpy", "dsad_common", "dsad_msgs", "dsad_bringup"},
    PACKAGES / "dsad_common": {"torch", "dsad_training", "dsad_source", "dsad_detector", "dsad_metrics"},
    PACKAGES / "dsad_source": {"torch", "dsad_training", "dsad_detector", "dsad_metrics", "dsad_bringup"},
    PACKAGES / "dsad_detector": {"torch", "dsad_training", "dsad_source", "dsad_metrics", "dsad_bringup"},
    PACKAGES / "dsad_metrics": {"torch", "dsad_training", "dsad_source", "dsad_detector", "dsad_bringup"},
    PACKAGES / "dsad_bringup": {"torch", "dsad_training"},
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("tree", FORBIDDEN, ids=lambda tree: tree.name)
def test_imports_run_one_way(tree):
    files = sorted(tree.rglob("*.py"))
    assert files, f"no Python under {tree}"
    for path in files:
        against = FORBIDDEN[tree].intersection(imported_packages(path))
        assert not against, f"{path.relative_to(ROOT)} imports {', '.join(sorted(against))}"


def ros_packages():
    return sorted(path.parent for path in PACKAGES.glob("*/package.xml"))


@pytest.mark.parametrize("folder", ros_packages(), ids=lambda folder: folder.name)
def test_package_is_described(folder):
    package = parse_package(str(folder / "package.xml"))
    assert package.name == folder.name
    readme = (folder / "README.md").read_text()
    positions = [readme.find(f"\n## {heading}\n") for heading in HEADINGS]
    assert -1 not in positions, f"{folder.name}/README.md lacks {HEADINGS[positions.index(-1)]!r}"
    assert positions == sorted(positions)


def test_a_robot_gets_what_the_library_asks_for():
    setup = (ROOT / "dsad_core" / "setup.py").read_text()
    oldest = (ROOT / "requirements" / "oldest.txt").read_text().splitlines()
    bounds = [line for line in (ROOT / "requirements" / "robot.txt").read_text().splitlines() if ">=" in line]
    assert bounds
    for bound in bounds:
        assert f'"{bound}"' in setup, f"setup.py of dsad_core does not ask for {bound}"
        assert any(line.startswith(bound.replace(">=", "==")) for line in oldest), f"not tested at {bound}"
