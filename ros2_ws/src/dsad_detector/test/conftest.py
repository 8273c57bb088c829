"""Engines in a temporary folder, an isolated DDS domain, and a detector process for each module."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import rclpy
from detector_harness import Building, Client, DetectorProcess

from dsad_common.isolation import isolate
from dsad_core.engines.manifest import MODEL_FILE, read_manifest, save_manifest

ROOT = Path(__file__).resolve().parents[4]
isolate(ROOT)


@pytest.fixture(scope="session")
def engines(tmp_path_factory) -> Path:
    """Three engines: local-contrast (the default), a copy named second, and one that was tampered with."""
    root = tmp_path_factory.mktemp("engines")
    shutil.copytree(ROOT / "edge_engines" / "local-contrast", root / "local-contrast")
    (root / "DEFAULT").write_text("local-contrast\n")
    shutil.copytree(root / "local-contrast", root / "second")
    save_manifest(
        root / "second",
        read_manifest(root / "second").model_copy(update={"name": "second", "threshold": 0.25}),
    )
    shutil.copytree(root / "local-contrast", root / "tampered")
    with open(root / "tampered" / MODEL_FILE, "ab") as stream:
        stream.write(b"\0")
    os.environ["DSAD_ENGINES"] = str(root)
    return root


@pytest.fixture(scope="session")
def ros(engines):
    """rclpy of the test process."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


@dataclass(frozen=True)
class Running:
    """A detector and its client, alone in their namespace."""

    process: DetectorProcess
    client: Client


@contextlib.contextmanager
def starting(tmp_path_factory):
    """Function that starts a detector with parameters; all end with the context."""
    running: list[Running] = []

    def make(environment: dict[str, str] | None = None, **parameters) -> Running:
        folder = tmp_path_factory.mktemp("detector")
        namespace = f"/{folder.name}"
        process = DetectorProcess(namespace, folder / "log.txt", environment, **parameters)
        running.append(Running(process, Client(namespace)))
        return running[-1]

    yield make
    for one in running:
        one.client.close()
        one.process.end()


@pytest.fixture
def start(ros, tmp_path_factory):
    """`starting`, until the end of the test: idle detectors take from the others' time."""
    with starting(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def start_for_module(ros, tmp_path_factory):
    """`starting`, until the end of the module."""
    with starting(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def detector(start_for_module) -> Running:
    """An active detector with the default engine."""
    one = start_for_module(frame_size="64x64")
    one.client.wait_for_detector()
    return one


@pytest.fixture(scope="module")
def building(engines, tmp_path_factory) -> Building:
    """An engine that is built for each size, as on a device; the build waits until the test lets it go."""
    return Building(tmp_path_factory.mktemp("building"))
