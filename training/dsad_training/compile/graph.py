"""The ONNX graph of a deployable network: standard operators of one opset, constants folded, short names."""

import io
import warnings
from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer

from dsad_core.engines.manifest import INPUT_NAME, OUTPUT_NAME
from dsad_training.compile.deployable import Prediction

#: The newest that TensorRT 8.6 (JetPack 6) and CANN 7 read in full.
OPSET = 17
IR_VERSION = 8
#: What an operator's constant inputs are called, by position.
ROLES = {
    "Conv": ("", "weight", "bias"),
    "BatchNormalization": ("", "scale", "bias", "mean", "variance"),
    "InstanceNormalization": ("", "scale", "bias"),
    "Resize": ("", "roi", "scales", "sizes"),
    "Pad": ("", "pads", "value"),
}


def to_onnx(network: Prediction, multiple: int, size: tuple[int, int] | None = None) -> onnx.ModelProto:
    """The graph of a deployable network; the same network gives the same bytes.

    Args:
        network: reads (1,C,H,W), gives (1,1,H,W).
        multiple: the sides of its images are multiples of it.
        size: (height, width) of a graph for this size alone; None for one that takes every size.
    """
    side = 2 * multiple
    axes = {2: "height", 3: "width"}
    buffer = io.BytesIO()
    # The TorchScript exporter keeps global pooling and the resize factors as such, which the newer one
    # turns into reductions; runtimes have faster kernels for the former. Even a graph of fixed size is traced
    # with free sides: otherwise global pooling becomes pooling with a huge window.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, network.network.input_channels, side, side),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: axes, OUTPUT_NAME: axes},
        )
    model = _folded(onnx.load_from_string(buffer.getvalue()))
    if size is not None:
        _fix_size(model, size)
        # What was computed from the input's size is constant now.
        model = _folded(model)
    return _named(model)


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A graph as a model that says nothing of the tools that wrote it."""
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(graph, producer_name="dsad", ir_version=IR_VERSION, opset_imports=opsets)


def _fix_size(model: onnx.ModelProto, size: tuple[int, int]) -> None:
    """Give input and output their sides, and resizing its target sizes in place of factors."""
    for value in (model.graph.input[0], model.graph.output[0]):
        for dimension, side in zip(value.type.tensor_type.shape.dim[2:], size):
            dimension.dim_value = side
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in inferred.graph.value_info
    }
    for node in model.graph.node:
        if node.op_type == "Resize":
            sizes = f"{node.output[0]}.sizes"
            model.graph.initializer.append(
                onnx.numpy_helper.from_array(np.array(shapes[node.output[0]], np.int64), sizes)
            )
            node.input[:] = [node.input[0], "", "", sizes]


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Constants computed, nodes that do nothing removed."""
    folded = ir.from_proto(model)
    # By default what only a ConstantOfShape makes is left to the runtime.
    optimizer.optimize_ir(folded, should_fold=lambda node: True)
    _remove_no_ops(folded.graph)
    passes.RemoveUnusedNodesPass()(folded)
    return ir.to_proto(folded)


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph named after the network's modules, with every shape that is known, checked."""
    named = ir.from_proto(model)
    passes.DeduplicateInitializersPass()(named)
    passes.ClearMetadataAndDocStringPass()(named)
    _rename(named.graph)
    graph = ir.to_proto(named).graph
    del graph.value_info[:]
    result = model_of(graph)
    if _is_fixed(result):
        result = onnx.shape_inference.infer_shapes(result, strict_mode=True, data_prop=True)
    onnx.checker.check_model(result, full_check=True)
    return result


def _is_fixed(model: onnx.ModelProto) -> bool:
    return all(dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim)


def _remove_no_ops(graph: ir.Graph) -> None:
    """Take out expansions to their own shape and additions of a scalar nought."""
    for node in list(graph):
        constants = [ir.convenience.get_const_tensor(value) if value else None for value in node.inputs]
        if (
            node.op_type == "Expand"
            and node.inputs[0] is not None
            and constants[1] is not None
            and (constants[1].numpy() == 1).all()
        ):
            ir.convenience.replace_all_uses_with(node.outputs[0], node.inputs[0])
        if node.op_type == "Add":
            for constant, other in zip(constants, reversed(node.inputs)):
                if (
                    other is not None
                    and constant is not None
                    and constant.numpy().ndim == 0
                    and constant.numpy() == 0
                ):
                    ir.convenience.replace_all_uses_with(node.outputs[0], other)


def _rename(graph: ir.Graph) -> None:
    """Name nodes and what they give alike, ``x00.0/body.0``, and constants after their first reader."""
    seen: Counter[str] = Counter()
    constants: set[str] = set()
    for node in graph:
        output = node.outputs[0]
        # Nodes that the optimiser put in are named by number, but what they give keeps its name.
        name = _short((node.name if output.is_graph_output() else output.name or "") or "").removesuffix(
            "_output_0"
        )
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name] - 1}"
        if not output.is_graph_output():
            output.name = node.name
        roles = ROLES.get(node.op_type, ())
        for i, value in enumerate(node.inputs):
            if value is not None and value.is_initializer() and value.name not in constants:
                value.name = f"{node.name}.{roles[i] if i < len(roles) else f'constant{i}'}"
                constants.add(value.name)


def _short(path: str) -> str:
    """``x00.0/body.0`` of the exporter's ``/network/x00/x00.0/body/body.0/Conv``.

    The exporter writes every module's whole path after its parent's, and the operator last.
    """
    parts = path.strip("/").split("/")[1:]
    return "/".join(part for part, after in zip(parts, [*parts[1:], ""]) if not after.startswith(f"{part}."))
