"""The classical baseline: multi-scale local contrast, written down as an ONNX graph.

A target is a compact spot warmer than the ring around it. The graph takes the difference of a spot
and its ring at three scales, divides the largest by the mean absolute response of the surroundings,
so that clutter and noise of any strength give the same false alarm rate, and maps that ratio to a
logit. It learns nothing: a yardstick for the networks, and an engine that is there at once.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dsad_core.engines.manifest import (
    INPUT_NAME,
    MODEL_FILE,
    OUTPUT_NAME,
    Manifest,
    Normalisation,
    Provenance,
    save_manifest,
)
from dsad_core.files import sha256_file, write_atomic

NAME = "local-contrast"
OPSET = 17
#: Standard deviation of the spot, pixels; the ring's is RING times as large.
SCALES = (0.6, 1.0, 1.6)
RING = 1.6
#: Half width of the kernels: 2.3 deviations of the widest ring.
RADIUS = 6
#: The surroundings are averaged on a grid of blocks, and over so many of them a side.
BLOCK, BLOCKS = 8, 5
#: Least mean response, of the unit range: below it there is only quantisation.
FLOOR = 0.002
#: logit = GAIN * (contrast ratio - RATIO); RATIO was chosen on a quarter of the NUDT-SIRST training split.
RATIO, GAIN = 13.0, 0.5


def build_local_contrast(folder: str | Path) -> Manifest:
    """Write ``model.onnx`` and ``manifest.yaml`` into ``folder`` (created); the same bytes each time."""
    folder = Path(folder)
    model = _model()
    onnx.checker.check_model(model, full_check=True)
    write_atomic(folder / MODEL_FILE, model.SerializeToString(deterministic=True))
    side = 2 * RADIUS + 1
    manifest = Manifest(
        name=NAME,
        network=NAME,
        width=None,
        distiller=None,
        training_data=None,
        normalisation=Normalisation(mean=(0.0,), std=(1.0,)),
        input_channels=1,
        size_multiple=BLOCK,
        threshold=0.5,
        opset=OPSET,
        sha256=sha256_file(folder / MODEL_FILE),
        parameters=0,
        cost_gmac=round(256 * 256 * side * side * len(SCALES) / 1e9, 4),
        provenance=Provenance(commit="", recipe="dsad_tools.baseline"),
    )
    save_manifest(folder, manifest)
    return manifest


def _model() -> onnx.ModelProto:
    constants = {
        "kernels": np.stack([_spot_minus_ring(scale) for scale in SCALES])[:, None],
        "margins": np.array([0, 0, RADIUS, RADIUS, 0, 0, RADIUS, RADIUS], np.int64),
        "block_margins": np.array([0, 0, BLOCKS // 2, BLOCKS // 2] * 2, np.int64),
        "enlarge": np.array([1, 1, BLOCK, BLOCK], np.float32),
        "floor": np.array(FLOOR, np.float32),
        "ratio": np.array(RATIO, np.float32),
        "gain": np.array(GAIN, np.float32),
    }
    nodes = [
        helper.make_node("Pad", [INPUT_NAME, "margins"], ["padded"], mode="edge"),
        helper.make_node("Conv", ["padded", "kernels"], ["scales"]),
        helper.make_node("ReduceMax", ["scales"], ["response"], axes=[1], keepdims=1),
        helper.make_node("Abs", ["response"], ["magnitude"]),
        helper.make_node(
            "AveragePool", ["magnitude"], ["blocks"], kernel_shape=[BLOCK] * 2, strides=[BLOCK] * 2
        ),
        helper.make_node("Pad", ["blocks", "block_margins"], ["padded_blocks"], mode="edge"),
        helper.make_node("AveragePool", ["padded_blocks"], ["around"], kernel_shape=[BLOCKS] * 2),
        helper.make_node("Resize", ["around", "", "enlarge"], ["surroundings"], mode="linear"),
        helper.make_node("Max", ["surroundings", "floor"], ["level"]),
        helper.make_node("Div", ["response", "level"], ["contrast"]),
        helper.make_node("Sub", ["contrast", "ratio"], ["excess"]),
        helper.make_node("Mul", ["excess", "gain"], [OUTPUT_NAME]),
    ]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [1, 1, "height", "width"])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [1, 1, "height", "width"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, producer_name="dsad", ir_version=8, opset_imports=[helper.make_opsetid("", OPSET)]
    )


def _spot_minus_ring(scale: float) -> np.ndarray:
    """A zero-sum difference of Gaussians, (2 RADIUS + 1) squared, scaled to unit noise gain."""
    rows, columns = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    square = rows**2 + columns**2
    spot, ring = (np.exp(-square / (2 * deviation**2)) for deviation in (scale, RING * scale))
    kernel = spot / spot.sum() - ring / ring.sum()
    return (kernel / np.sqrt((kernel**2).sum())).astype(np.float32)
