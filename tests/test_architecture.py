"""The layout tells the architecture: imports go down only, and a vehicle gets the product and nothing else.

What belongs to the product is what colcon builds for `dsad_bringup`; everything else is laboratory. The cut is
read from the packages' declared dependencies, from what they import and from what an interpreter loads.
"""

import ast
import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "ros2_ws" / "src"
HEADINGS = ["Purpose", "How it works", "Topics", "Parameters", "Limits"]
PACKAGES = {path.parent.name: path.parent for path in sorted(SOURCES.glob("*/package.xml"))}
OURS = {*PACKAGES, "dsad_training"}

#: What the design lets a vehicle carry.
PRODUCT = {"dsad_bringup", "dsad_common", "dsad_core", "dsad_detector", "dsad_msgs"}
#: Libraries that plot, render, read bags, watch processes or train: none of them flies.
GROUNDED = {"jinja2", "matplotlib", "psutil", "rosbags", "torch"}
#: What a tree may not import from outside of the suite.
FORBIDDEN = {
    "dsad_core": {"rclpy", *GROUNDED},
    "dsad_tools": {"rclpy", "torch"},
    "dsad_common": GROUNDED,
    "dsad_detector": GROUNDED,
    "dsad_bringup": GROUNDED,
    "dsad_source": {"torch"},
    "dsad_metrics": {"torch"},
    "dsad_replay": {"torch"},
    "dsad_training": {"rclpy"},
}


def imported(folder):
    """Top-level names that the Python files below a folder import, wherever in a file, by file."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        names = found[path] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
    return found


def declared(folder, *kinds):
    package = parse_package(str(folder / "package.xml"))
    return {depend.name for kind in kinds for depend in getattr(package, f"{kind}_depends")}


def python_packages():
    return sorted(name for name in PACKAGES if (PACKAGES[name] / name).is_dir())


@pytest.mark.parametrize("name", python_packages())
def test_a_package_declares_what_it_imports_of_ours(name):
    folder = PACKAGES[name]
    needs, tests = declared(folder, "exec"), declared(folder, "exec", "test")
    for part, allowed in ((name, needs), ("test", tests)):
        for path, names in imported(folder / part).items():
            undeclared = (names & OURS) - allowed - {name}
            assert not undeclared, f"{path.relative_to(SOURCES)} imports {', '.join(sorted(undeclared))}"


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_what_does_not_belong_on_a_floor_is_not_imported_there(name):
    folder = PACKAGES[name] / name if name in PACKAGES else ROOT / "training" / name
    files = imported(folder)
    assert files, f"no Python under {folder}"
    for path, names in files.items():
        against = names & FORBIDDEN[name]
        assert not against, f"{path.relative_to(folder)} imports {', '.join(sorted(against))}"


def test_training_imports_the_two_libraries_alone():
    for path, names in imported(ROOT / "training").items():
        above = (names & OURS) - {"dsad_core", "dsad_tools", "dsad_training"}
        assert not above, f"{path.relative_to(ROOT)} imports {', '.join(sorted(above))}"


def colcon_product():
    options = f"--log-base {os.devnull} list --names-only --packages-up-to dsad_bringup --base-paths"
    command = ["colcon", *options.split(), SOURCES]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=SOURCES)
    assert listed.returncode == 0, listed.stderr
    return set(listed.stdout.split())


def test_what_colcon_builds_for_a_vehicle_is_the_product():
    assert colcon_product() == PRODUCT
    for name in PRODUCT:
        tests = declared(PACKAGES[name], "test") & OURS
        assert tests <= PRODUCT, f"the tests of {name} need {', '.join(sorted(tests - PRODUCT))}"


IMPORT_ALL = """
import importlib, json, pkgutil, sys
absent = set()
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if "._kernels" in module.name:  # a library for ctypes
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            absent.add(error.name.split(".")[0])
print(json.dumps({"absent": sorted(absent), "loaded": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def test_the_product_loads_nothing_of_the_laboratory():
    """Every module of every package that a vehicle carries, in an interpreter of its own."""
    names = sorted(colcon_product() & set(python_packages()))
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    # Runtimes of other machines, and ROS 2's launch, which PyPI has not.
    assert not OURS & set(report["absent"])
    assert set(names) <= set(report["loaded"])
    against = set(report["loaded"]) & (GROUNDED | (OURS - PRODUCT))
    assert not against, f"the product loads {', '.join(sorted(against))}"


def required(name, seen):
    """Names of the distributions that one needs, and those in turn, as installed; extras left out."""
    for line in distribution(name).requires or []:
        requirement, _, marker = line.partition(";")
        needed = re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")
        if "extra" in marker or needed in seen:
            continue
        seen.add(needed)
        try:
            required(needed, seen)
        except ModuleNotFoundError:  # for another platform
            continue
    return seen


def test_the_runtime_installs_nothing_of_the_laboratory():
    needs = required("dsad_core", set())
    assert {"numpy", "onnxruntime", "pydantic"} <= needs
    assert not needs & {*GROUNDED, "dsad-tools"}


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_package_is_described(name):
    folder = PACKAGES[name]
    assert parse_package(str(folder / "package.xml")).name == name
    readme = (folder / "README.md").read_text()
    positions = [readme.find(f"\n## {heading}\n") for heading in HEADINGS]
    assert -1 not in positions, f"{name}/README.md lacks {HEADINGS[positions.index(-1)]!r}"
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("package", "requirements"), [("dsad_core", "robot.txt"), ("dsad_tools", "robot-laboratory.txt")]
)
def test_a_robot_gets_what_a_library_asks_for(package, requirements):
    setup = (ROOT / package / "setup.py").read_text()
    oldest = (ROOT / "requirements" / "oldest.txt").read_text().splitlines()
    bounds = [
        line for line in (ROOT / "requirements" / requirements).read_text().splitlines() if ">=" in line
    ]
    assert bounds
    for bound in bounds:
        assert f'"{bound}"' in setup, f"setup.py of {package} does not ask for {bound}"
        assert any(line.startswith(bound.replace(">=", "==")) for line in oldest), f"not tested at {bound}"
