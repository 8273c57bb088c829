"""Residual blocks as one operator on a CPU: forward and backward are one call into the compiled kernels each."""

from ctypes import Structure, byref, c_float, c_int32, c_void_p
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from dsad_training.native.library import loaded
from dsad_training.networks.dsa import DirectionalAttention
from dsad_training.networks.residual import ChannelAttention, ResidualBlock, SpatialAttention


class Conv(Structure):
    _fields_ = [(name, c_void_p) for name in ("weights", "bias", "weights_gradient", "bias_gradient")]
    _fields_ += [("last", c_int32)]


class Norm(Structure):
    _fields_ = [
        (name, c_void_p)
        for name in ("scale", "shift", "running_mean", "running_variance", "scale_gradient", "shift_gradient")
    ]
    _fields_ += [("eps", c_float), ("momentum", c_float)]


#: Fields of :class:`Block` that decide how much a forward pass keeps.
SHAPE = "images", "height", "width", "inputs", "outputs", "hidden", "side", "axes", "replicate", "projected"


class Block(Structure):
    """Mirror of ``Block`` in block.hpp."""

    _fields_ = [(name, c_int32) for name in (*SHAPE, "training", "threads")]
    _fields_ += [(name, c_void_p) for name in ("saved", "x", "out", "out_gradient", "x_gradient")]
    _fields_ += [(name, Conv) for name in ("first", "second", "shortcut")]
    _fields_ += [(name, Norm) for name in ("first_norm", "second_norm", "shortcut_norm")]
    _fields_ += [
        (name, c_void_p)
        for name in ("gate_first", "gate_second", "gate_first_gradient", "gate_second_gradient")
    ]
    _fields_ += [("place", c_void_p), ("place_gradient", c_void_p), ("place_last", c_int32)]


def fits(block: ResidualBlock) -> bool:
    """Whether the block is made of what the kernels know."""
    layers = [type(layer) for layer in block.body]
    if layers != [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]:
        return False
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    return (
        all(norm.affine and norm.track_running_stats and norm.momentum is not None for norm in norms)
        and (block.channel is None or type(block.channel) is ChannelAttention)
        and (block.spatial is None or isinstance(block.spatial, (SpatialAttention, DirectionalAttention)))
    )


def forward(block: ResidualBlock, x: Tensor) -> Tensor:
    """In the place of ``ResidualBlock.forward``."""
    if not _takes(block, x):
        return ResidualBlock.forward(block, x)
    if block.training:
        for norm in _norms(block):
            norm.num_batches_tracked.add_(1)
    return _Fused.apply(block, x, *_weights(block))


def _takes(block: ResidualBlock, x: Tensor) -> bool:
    """Whether the kernels can run the block now."""
    if x.dtype != torch.float32 or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or x.shape[0] * x.shape[2] * x.shape[3] < 2:
        return False
    for module in block.modules():
        if module is not block and (
            module._forward_hooks
            or module._forward_pre_hooks
            or module._backward_hooks
            or module._backward_pre_hooks
            or module.training != block.training
        ):
            return False
    if not torch.is_grad_enabled():
        return True
    wanted = [weight.requires_grad for weight in block.parameters()]
    return all(wanted) if block.training else not (x.requires_grad or any(wanted))


def _norms(block: ResidualBlock) -> list[Any]:
    """The BatchNorms of the body and, where there is one, of the shortcut."""
    return [block.body[1], block.body[4], *list(block.shortcut.children())[1:]]


def _weights(block: ResidualBlock) -> list[Any]:
    """What the block's operator learns: convolutions and norms of body and shortcut, then of both gates; or None."""
    shortcut: list[Any] = list(block.shortcut.children()) or [None, None]
    layers = [block.body[0], block.body[1], block.body[3], block.body[4], *shortcut]
    weights = [getattr(layer, name, None) for layer in layers for name in ("weight", "bias")]
    if isinstance(block.channel, ChannelAttention):
        first, _, second = block.channel.mlp
        weights += [first.weight, second.weight]
    else:
        weights += [None, None]
    if isinstance(block.spatial, SpatialAttention):
        weights.append(block.spatial.conv.weight)
    elif isinstance(block.spatial, DirectionalAttention):
        kernels: Any = block.spatial.kernels
        weights.append(kernels.contiguous())
    else:
        weights.append(None)
    return weights


def address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _conv(weight: Tensor | None, bias: Tensor | None) -> Conv:
    return (
        Conv()
        if weight is None
        else Conv(weight.data_ptr(), address(bias), None, None, lies_in_channels_last(weight))
    )


def lies_in_channels_last(weight: Tensor) -> bool:
    """Whether a convolution's kernel does."""
    return not weight.is_contiguous()


def _norm(norm: nn.BatchNorm2d) -> Norm:
    tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return Norm(*map(address, tensors), None, None, norm.eps, norm.momentum)


def _describe(block: ResidualBlock, x: Tensor, weights: tuple[Any, ...], out: Tensor) -> Block:
    first, first_bias, _, _, second, second_bias, _, _, side, side_bias, _, _, *gates, place = weights
    projected = side is not None
    norms = [_norm(norm) for norm in _norms(block)] + [Norm()] * (not projected)
    return Block(
        *(x.shape[0], x.shape[2], x.shape[3], x.shape[1], len(first)),
        len(gates[0]) if gates[0] is not None else 0,
        place.shape[-1] if place is not None else 0,
        len(place) if place is not None else 0,
        getattr(block.spatial, "padding", None) == "replicate",
        projected,
        block.training,
        torch.get_num_threads(),
        *(None, x.data_ptr(), out.data_ptr(), None, None),
        *(_conv(first, first_bias), _conv(second, second_bias), _conv(side, side_bias)),
        *norms,
        *(address(gates[0]), address(gates[1]), None, None),
        *(address(place), None, place is not None and lies_in_channels_last(place)),
    )


@lru_cache(maxsize=256)
def _floats_kept(*shape: int) -> int:
    """Floats that a block's forward pass keeps; of the fields ``SHAPE``."""
    return loaded().train_block_saved(byref(Block(*shape)))


class _Fused(torch.autograd.Function):
    """A residual block of (N,C,H,W) float32."""

    @staticmethod
    def forward(ctx: Any, block: ResidualBlock, x: Tensor, *weights: Any) -> Tensor:
        x = x.contiguous()
        out = x.new_empty(x.shape[0], len(weights[0]), *x.shape[2:])
        given = _describe(block, x, weights, out)
        if any(ctx.needs_input_grad):
            shape = [getattr(given, name) for name in SHAPE]
            ctx.kept = x.new_empty(_floats_kept(*shape))
            given.saved = ctx.kept.data_ptr()
            ctx.given = given
            ctx.save_for_backward(out, *weights)
        done(loaded().train_block_forward(byref(given)))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        out, *weights = ctx.saved_tensors
        given, gradient = ctx.given, gradient.contiguous()
        slopes = [
            torch.empty_like(weight) if wanted else None
            for weight, wanted in zip(weights, ctx.needs_input_grad[2:])
        ]
        into = None
        if ctx.needs_input_grad[1]:
            into = out.new_empty(out.shape[0], given.inputs, *out.shape[2:])
        given.out, given.out_gradient, given.x_gradient = out.data_ptr(), gradient.data_ptr(), address(into)
        spots = [
            (conv_or_norm, name)
            for conv, norm in (
                (given.first, given.first_norm),
                (given.second, given.second_norm),
                (given.shortcut, given.shortcut_norm),
            )
            for conv_or_norm, name in (
                (conv, "weights_gradient"),
                (conv, "bias_gradient"),
                (norm, "scale_gradient"),
                (norm, "shift_gradient"),
            )
        ]
        spots += [(given, name) for name in ("gate_first_gradient", "gate_second_gradient", "place_gradient")]
        for (holder, name), slope in zip(spots, slopes):
            setattr(holder, name, address(slope))
        given.threads = torch.get_num_threads()
        done(loaded().train_block_backward(byref(given)))
        return None, into, *slopes


def done(status: int) -> None:
    if status:
        raise MemoryError("no memory for the training kernels; take smaller batches or crops")
