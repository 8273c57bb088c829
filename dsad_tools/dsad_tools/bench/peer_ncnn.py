"""ncnn, as a user gets it from PyPI: its converter pnnx reads the engine's ONNX file."""

import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from dsad_core.engines.manifest import MODEL_FILE
from dsad_core.errors import EngineError, one_line
from dsad_tools.bench.models import Model

#: pnnx takes seconds; one that takes this long, in seconds, has hung.
_CONVERSION_LIMIT = 300


class Ncnn:
    """A network of ncnn in float32, converted for one size of frame; see ``turn.Contender``.

    Args:
        size: (height, width), padded.

    Raises:
        EngineError: pnnx or ncnn cannot take the model.
    """

    def __init__(self, model: Model, threads: int, size: tuple[int, int]):
        import ncnn

        self.manifest, self.description = model.manifest, f"ncnn {ncnn.__version__} f32"
        self._ncnn, self._net = ncnn, ncnn.Net()
        options = self._net.opt
        options.num_threads = threads
        for name in dir(options):  # by default it stores and computes in 16 bits where the CPU can
            if name.startswith(("use_fp16", "use_bf16")):
                setattr(options, name, False)
        shape = 1, model.manifest.input_channels, *size
        with tempfile.TemporaryDirectory(prefix="dsad-ncnn-") as folder:
            network, weights = _convert(model.engine / MODEL_FILE, shape, Path(folder))
            if self._net.load_param(str(network)) or self._net.load_model(str(weights)):
                raise EngineError("ncnn cannot load what pnnx made of the model")
        (self._input,), (self._output,) = self._net.input_names(), self._net.output_names()

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        extractor = self._net.create_extractor()
        extractor.input(self._input, self._ncnn.Mat(tensor[0]))
        status, logits = extractor.extract(self._output)
        if status:
            raise EngineError(f"ncnn failed with status {status}")
        return np.array(logits)[0]

    def close(self) -> None:
        self._net = None


def _convert(source: Path, shape: tuple[int, ...], folder: Path) -> tuple[Path, Path]:
    """ncnn's two files of an ONNX model, in ``folder``."""
    spec = find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise EngineError("pnnx is not installed; pip install pnnx")
    onnx.save(sums_as_means(onnx.load(source), shape), folder / "model.onnx")
    # The program beside the package: the package itself would import torch.
    words = [
        str(Path(spec.origin).with_name("pnnx")),
        "model.onnx",
        f"inputshape={list(shape)}".replace(" ", ""),
    ]
    try:
        done = subprocess.run(
            [*words, "fp16=0"], cwd=folder, capture_output=True, text=True, timeout=_CONVERSION_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"pnnx cannot convert the model: {one_line(error)}") from error
    made = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    if done.returncode or not all(path.is_file() for path in made):
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it made no file"]
        raise EngineError(f"pnnx cannot convert the model: {one_line(last[0])}")
    return made


def sums_as_means(model: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The same network without ``ReduceSum``, whose axes pnnx loses: the mean times the number of terms.

    Args:
        model: changed in place.
        shape: of its image; it settles how many terms a sum has.

    Raises:
        EngineError: a sum over axes, or of a tensor, whose length is not known.
    """
    graph = model.graph
    for place, length in zip(graph.input[0].type.tensor_type.shape.dim, shape):
        place.dim_value = length
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    sizes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in inferred}
    constants = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "ReduceSum":
            nodes.append(node)
            continue
        source, axes = node.input[0], constants.get("".join(node.input[1:]))
        terms = (
            0 if axes is None or source not in sizes else int(np.prod([sizes[source][axis] for axis in axes]))
        )
        if axes is None or not terms:
            raise EngineError(f"{node.name}: sums over axes of unknown length")
        keep = [attribute for attribute in node.attribute if attribute.name == "keepdims"]
        mean, count = f"{node.output[0]}/mean", f"{node.output[0]}/terms"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(terms, np.float32), count))
        averaged = onnx.helper.make_node("ReduceMean", [source], [mean], axes=axes.tolist())
        averaged.attribute.extend(keep)
        nodes += [averaged, onnx.helper.make_node("Mul", [mean, count], [node.output[0]])]
    del graph.node[:]
    graph.node.extend(nodes)
    return model
