"""Convolutions, bilinear resizes and 2x2 pooling by the compiled kernels, each in the place of its module's forward."""

from collections.abc import Callable
from ctypes import Structure, byref, c_float, c_int32, c_void_p
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dsad_training.native.block import Conv, address, done, lies_in_channels_last
from dsad_training.native.library import loaded
from dsad_training.networks.layers import Bilinear


class Layer(Structure):
    """Mirror of ``Layer`` in layer.hpp."""

    _fields_ = [
        (name, c_int32)
        for name in (
            *("images", "height", "width", "inputs", "outputs", "threads", "side"),
            *("out_height", "out_width", "align_corners"),
        )
    ]
    _fields_ += [("step", c_float)]
    _fields_ += [(name, c_void_p) for name in ("x", "out", "out_gradient", "x_gradient")]
    _fields_ += [("conv", Conv)]


def forward_of(module: nn.Module) -> Callable[[Any, Tensor], Tensor] | None:
    """What takes the place of a layer's ``forward``; None where the kernels do not know the layer."""
    if type(module) is nn.Conv2d:
        side = module.kernel_size[0]
        plain = (module.stride, module.dilation, module.groups, module.padding_mode) == (
            (1, 1),
            (1, 1),
            1,
            "zeros",
        )
        centred = module.kernel_size in ((1, 1), (3, 3)) and module.padding == (side // 2, side // 2)
        return _convolve if plain and centred else None
    if type(module) is Bilinear:
        return _resize
    if type(module) is nn.MaxPool2d:
        halves = (module.kernel_size, module.stride, module.padding, module.dilation) == (2, 2, 0, 1)
        return _pool if halves and not module.return_indices else None
    return None


def takes(x: Tensor) -> bool:
    """Whether the kernels can run a layer on ``x`` now."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


def _convolve(module: nn.Conv2d, x: Tensor) -> Tensor:
    return _Convolution.apply(x, module.weight, module.bias) if takes(x) else nn.Conv2d.forward(module, x)


def _resize(module: Bilinear, x: Tensor) -> Tensor:
    if not takes(x):
        return Bilinear.forward(module, x)
    return _Resize.apply(x, module.scale_factor, module.align_corners)


def _pool(module: nn.MaxPool2d, x: Tensor) -> Tensor:
    if not takes(x) or x.shape[2] % 2 or x.shape[3] % 2:
        return nn.MaxPool2d.forward(module, x)
    return _Pool.apply(x)


def _layer(x: Tensor, out: Tensor) -> Layer:
    layer = Layer(x.shape[0], x.shape[2], x.shape[3], x.shape[1], out.shape[1], torch.get_num_threads())
    layer.x, layer.out = x.data_ptr(), out.data_ptr()
    return layer


class _Convolution(torch.autograd.Function):
    """1x1 or 3x3 convolution, stride 1, zeros beyond the border: (N,I,H,W) -> (N,O,H,W)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x = x.contiguous()
        out = x.new_empty(x.shape[0], len(weight), *x.shape[2:])
        layer = _layer(x, out)
        layer.side = weight.shape[-1]
        layer.conv = Conv(weight.data_ptr(), address(bias), None, None, lies_in_channels_last(weight))
        done(loaded().train_conv_forward(byref(layer)))
        ctx.save_for_backward(x, weight)
        ctx.layer, ctx.biased = layer, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), layer, gradient = ctx.saved_tensors, ctx.layer, gradient.contiguous()
        wanted = ctx.needs_input_grad
        into = torch.empty_like(x) if wanted[0] else None
        slope = torch.empty_like(weight) if wanted[1] else None
        offset = weight.new_empty(len(weight)) if ctx.biased and wanted[2] else None
        layer.out_gradient, layer.x_gradient = gradient.data_ptr(), address(into)
        layer.conv.weights_gradient, layer.conv.bias_gradient = address(slope), address(offset)
        done(loaded().train_conv_backward(byref(layer)))
        return into, slope, offset


class _Resize(torch.autograd.Function):
    """torch's bilinear resize by a factor: (N,C,H,W) -> (N,C,factor * H,factor * W)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float, align_corners: bool) -> Tensor:
        x = x.contiguous()
        out = x.new_empty(*x.shape[:2], *(int(length * factor) for length in x.shape[2:]))
        layer = ctx.layer = _layer(x, out)
        layer.out_height, layer.out_width = out.shape[2:]
        layer.align_corners, layer.step = align_corners, 1 / factor
        done(loaded().train_resize_forward(byref(layer)))
        ctx.shape = x.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradient.contiguous()
        into = gradient.new_empty(ctx.shape)
        ctx.layer.out_gradient, ctx.layer.x_gradient = gradient.data_ptr(), into.data_ptr()
        done(loaded().train_resize_backward(byref(ctx.layer)))
        return into, None, None


class _Pool(torch.autograd.Function):
    """Maximum over 2x2 pixels: (N,C,H,W) -> (N,C,H/2,W/2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        out = x.new_empty(*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
        ctx.layer = _layer(x, out)
        done(loaded().train_pool_forward(byref(ctx.layer)))
        ctx.save_for_backward(x)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,), gradient = ctx.saved_tensors, gradient.contiguous()
        into = torch.empty_like(x)
        ctx.layer.out_gradient, ctx.layer.x_gradient = gradient.data_ptr(), into.data_ptr()
        done(loaded().train_pool_backward(byref(ctx.layer)))
        return into
