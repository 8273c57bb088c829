"""Kinds of hostile input: each makes what it needs in a folder, once, and feeds one damaged input a call."""

from __future__ import annotations

import array
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace

import cv2
import numpy as np
from rosbags.rosbag2 import Writer

from dsad_core.engines.load import load_engine
from dsad_core.engines.locate import find_engine
from dsad_core.engines.manifest import MANIFEST_FILE, MODEL_FILE, load_manifest
from dsad_core.files import sha256_file
from dsad_core.frame.camera_model import camera_model
from dsad_core.frame.codec import decode_message
from dsad_core.frame.compressed import decode_compressed
from dsad_core.frame.encodings import ENCODINGS
from dsad_core.frame.geometry import parse_size
from dsad_tools.bags.raw import BAG_VERSION, STORAGES
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.types import typestore
from dsad_tools.bags.write import BagWriter
from dsad_tools.data.images import read_grey
from dsad_tools.data.open import open_source
from dsad_tools.prove.mutate import EDGES, FLOATS, WORDS, damaged, rewritten
from dsad_tools.scenes.generator import SceneGenerator

Feed = Callable[[Random], None]
SIDE = 64


def image_messages(folder: Path) -> Feed:
    """sensor_msgs/Image: sizes, steps, encodings and data that lie, or that fit by chance."""
    data = array.array("B", bytes(range(256)) * 256)

    def feed(random: Random) -> None:
        encoding = random.choice([*ENCODINGS, *WORDS])
        height, width = (random.choice((1, 2, 7, SIDE, random.choice(EDGES[:10]))) for _ in range(2))
        row = width * random.choice((1, 2, 3, 4))
        step = random.choice((row, row, row + random.randrange(9), random.choice(EDGES[:10])))
        fits = min(height * step, len(data))
        length = min(max(fits + random.choice((0, 0, 0, -1, 1, step)), 0), len(data))
        content = data[:length]
        if length > 4 and random.random() < 0.3:
            content = array.array("B", damaged(content[:512].tobytes(), random)) + content[512:]
        frame = decode_message(
            SimpleNamespace(
                encoding=encoding,
                height=height,
                width=width,
                step=step,
                data=content,
                is_bigendian=random.choice((0, 1, 255)),
            )
        )
        if frame.shape != (height, width) or not np.isfinite(frame).all():
            raise AssertionError(f"a frame {frame.shape} of {width}x{height}, or one that is not finite")

    return feed


def compressed_messages(folder: Path) -> Feed:
    """sensor_msgs/CompressedImage: damaged PNG and JPEG."""
    scene = SceneGenerator(SIDE, SIDE, 1, dtype="uint16")[0].image
    files = [cv2.imencode(suffix, part)[1].tobytes() for suffix, part in _parts(scene)]

    def feed(random: Random) -> None:
        encoding = random.choice(("jpeg", "16UC1; png compressed", "mono8; jpeg compressed bgr8", *WORDS))
        decode_compressed(encoding, damaged(random.choice(files), random))

    return feed


def camera_infos(folder: Path) -> Feed:
    """sensor_msgs/CameraInfo: matrices and distortions with every wrong number; directions are unit or NaN."""

    def feed(random: Random) -> None:
        def number(usual: float) -> float:
            return random.choice((usual, usual, usual, random.choice(FLOATS), random.uniform(-3, 3)))

        k = [number(v) for v in (90.0, 0.0, 32.0, 0.0, 90.0, 32.0, 0.0, 0.0, 1.0)]
        size = random.choice((SIDE, SIDE, random.choice(EDGES[:10])))
        info = SimpleNamespace(
            height=SIDE,
            width=size,
            distortion_model=random.choice(("plumb_bob", "equidistant", "rational_polynomial", *WORDS)),
            d=[number(0.1) for _ in range(random.choice((0, 4, 5, 8, 14, 3)))],
            k=k,
            p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0],
            binning_x=random.choice((0, 0, 1, random.choice(EDGES[:10]))),
            binning_y=0,
            roi=SimpleNamespace(x_offset=0, y_offset=0, height=0, width=random.choice((0, 0, 7))),
        )
        with np.errstate(all="ignore"):
            model = camera_model(info, SIDE, SIDE, rectified=random.random() < 0.2)
            rays = model.bearings([0.0, 31.5, 63.0], [0.0, 31.5, 63.0])
        known = np.isfinite(rays).all(axis=1)
        if not np.allclose(np.linalg.norm(rays[known], axis=1), 1.0, atol=1e-6):
            raise AssertionError(f"a bearing that is no direction: {rays.tolist()}")

    return feed


def _bags(storage: str) -> Callable[[Path], Feed]:
    def kind(folder: Path) -> Feed:
        whole, broken = folder / "whole", folder / "broken"
        with BagWriter(whole, storage) as bag:
            for sample in SceneGenerator(32, 32, 3):
                bag.write(sample)
        shutil.copytree(whole, broken)
        part = next(path for path in whole.iterdir() if path.name != "metadata.yaml")
        content, listed = part.read_bytes(), (whole / "metadata.yaml").read_text()
        plain = _without_qos(whole, folder / "plain", storage)

        def in_folder(random: Random) -> None:
            same = random.random() < 0.15
            text = rewritten(listed, random) if same or random.random() < 0.3 else listed
            (broken / "metadata.yaml").write_text(text, errors="surrogateescape")
            (broken / part.name).write_bytes(content if same else damaged(content, random))

        def feed(random: Random) -> None:
            path = broken
            if random.random() < 0.1:
                in_folder(random)
            else:
                path = broken / part.name
                path.write_bytes(damaged(plain if random.random() < 0.9 else content, random))
            for sample in open_source(path):
                sample.image.sum()

        return feed

    return kind


def _without_qos(bag: Path, path: Path, storage: str) -> bytes:
    """The bag's file without QoS profiles: their YAML takes fifty times as long to read as all else in a small bag."""
    reader = BagReader(bag)
    with Writer(path, version=BAG_VERSION, storage_plugin=STORAGES[storage]) as copy:
        known = {
            topic.name: copy.add_connection(topic.name, topic.type, typestore=typestore())
            for topic in reader.topics()
        }
        for topic, stamp, data in reader.messages(raw=True):
            copy.write(known[topic], stamp, data)
    return next(file for file in path.iterdir() if file.name != "metadata.yaml").read_bytes()


def manifests(folder: Path) -> Feed:
    """An engine's manifest.yaml, rewritten."""
    engine = _engine(folder)
    text = (engine / MANIFEST_FILE).read_text()

    def feed(random: Random) -> None:
        (engine / MANIFEST_FILE).write_text(rewritten(text, random), errors="surrogateescape")
        load_manifest(engine)

    return feed


def models(folder: Path) -> Feed:
    """A damaged model.onnx whose hash the manifest agrees with, so that the backends read it; what loads has to run."""
    engine = _engine(folder)
    model, text = (engine / MODEL_FILE).read_bytes(), (engine / MANIFEST_FILE).read_text()
    (digest,) = [line.split()[1] for line in text.splitlines() if line.startswith("sha256:")]

    def feed(random: Random) -> None:
        (engine / MODEL_FILE).write_bytes(damaged(model, random))
        (engine / MANIFEST_FILE).write_text(text.replace(digest, sha256_file(engine / MODEL_FILE)))
        loaded = load_engine(engine, threads=1, backend=random.choice(("direct", "onnxruntime")))
        try:
            loaded.infer(np.zeros((1, loaded.manifest.input_channels, SIDE, SIDE), np.float32))
        finally:
            loaded.close()

    return feed


def image_files(folder: Path) -> Feed:
    """PNG, JPEG, TIFF and BMP files."""
    scene = SceneGenerator(SIDE, SIDE, 1, dtype="uint16")[0].image
    files = [(suffix, cv2.imencode(suffix, part)[1].tobytes()) for suffix, part in _parts(scene)]

    def feed(random: Random) -> None:
        suffix, content = random.choice(files)
        path = folder / f"image{suffix}"
        path.write_bytes(damaged(content, random))
        read_grey(path)

    return feed


def videos(folder: Path) -> Feed:
    """AVI files with JPEG frames."""
    path = folder / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (SIDE, SIDE), False)
    for sample in SceneGenerator(SIDE, SIDE, 5):
        writer.write(sample.image)
    writer.release()
    content = path.read_bytes()

    def feed(random: Random) -> None:
        path.write_bytes(damaged(content, random))
        for sample in open_source(path):
            sample.image.sum()

    return feed


def sequences(folder: Path) -> Feed:
    """gt.csv of an annotated sequence."""
    (folder / "images").mkdir()
    for sample in SceneGenerator(SIDE, SIDE, 3):
        cv2.imwrite(str(folder / "images" / f"{sample.name}.png"), sample.image)
    text = "frame,source_frame,labelled,x,y,w,h,id\n" + "".join(
        f"{n},{n},1,{n + 3}.5,7,4,5,{n}\n" for n in range(3)
    )

    def feed(random: Random) -> None:
        (folder / "gt.csv").write_text(rewritten(text, random), errors="surrogateescape")
        for sample in open_source(folder):
            sample.image.sum()

    return feed


def sizes(folder: Path) -> Feed:
    """Texts of parameters that name a frame size."""

    def feed(random: Random) -> None:
        parse_size(rewritten(random.choice(("640x512", "64x64", *WORDS)), random), "frame_size")

    return feed


def _parts(scene: np.ndarray) -> list[tuple[str, np.ndarray]]:
    grey = (scene >> 8).astype(np.uint8)
    return [(".png", scene), (".jpg", grey), (".png", grey), (".jpg", np.dstack([grey] * 3))]


def _engine(folder: Path) -> Path:
    return Path(shutil.copytree(find_engine("local-contrast"), folder / "engine"))


#: Kind -> what makes its feed.
KINDS: dict[str, Callable[[Path], Feed]] = {
    "Image messages": image_messages,
    "CompressedImage messages": compressed_messages,
    "CameraInfo messages": camera_infos,
    "bags, MCAP": _bags("mcap"),
    "bags, sqlite3": _bags("sqlite3"),
    "manifests": manifests,
    "ONNX models": models,
    "image files": image_files,
    "videos": videos,
    "label tables": sequences,
    "sizes in parameters": sizes,
}
