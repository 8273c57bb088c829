// Single layers: a convolution, a bilinear resize, a maximum over 2x2 pixels.
#pragma once
#include "block.hpp"
#include "pool.hpp"
#include "resize.hpp"

// Mirror of `Layer` in layers.py. Features are (images, inputs, height, width) and (images, outputs, ...).
struct Layer {
    int32_t images, height, width, inputs, outputs, threads;
    int32_t side;                   // of a convolution's kernel, 1 or 3
    int32_t out_height, out_width;  // of a resize
    int32_t align_corners;
    float step;  // pixels of the input a pixel of a resize's output
    const float* x;
    float* out;
    const float* out_gradient;
    float* x_gradient;  // or null
    Conv conv;

    Kernel kernel() const { return {conv.weights, outputs, inputs, side, conv.last != 0}; }
};

inline bool conv_forward(const Layer& l, Workspace& workspace) {
    const Grid grid(l.images, l.height, l.width, 1, true);
    const Taps taps(grid, l.side);
    const long weights = packed_floats(l.outputs, l.inputs, taps.count, BLOCK);
    if (!workspace.open((l.inputs + l.outputs) * grid.plane + weights + 4 * LINE)) return false;
    const Planes in{workspace.take(l.inputs * grid.plane), &grid},
        out{workspace.take(l.outputs * grid.plane), &grid};
    float* packed = workspace.take(weights);
    pack<BLOCK>(l.kernel(), false, packed);
    copy_in(in, l.inputs, l.x, l.threads);
    const Source source{in, l.inputs, &taps, packed};
    convolve<BLOCK>({{&source, 1, l.conv.bias, out, l.outputs}}, l.threads);
    copy_out(out, l.outputs, l.out, l.threads);
    return true;
}

inline bool conv_backward(const Layer& l, Workspace& workspace) {
    const Grid grid(l.images, l.height, l.width, 1, true);
    const Taps taps(grid, l.side);
    const long weights = packed_floats(l.inputs, l.outputs, taps.count, BLOCK);
    const long room = weight_sums_floats<BLOCK, WIDE>(l.outputs, l.inputs, taps.count);
    if (!workspace.open((l.inputs + l.outputs) * grid.plane + weights + room + 4 * LINE)) return false;
    const Planes in{workspace.take(l.inputs * grid.plane), &grid},
        out{workspace.take(l.outputs * grid.plane), &grid};
    float *packed = workspace.take(weights), *sums = workspace.take(room);
    copy_in(out, l.outputs, l.out_gradient, l.threads);
    if (l.conv.bias_gradient)
        for (int o = 0; o < l.outputs; o++) {
            double sum = 0;
            for (int n = 0; n < l.images; n++) {
                Vec total{};
                for (int v = 0; v < grid.vectors(); v++)
                    total += load(out.at(o) + long(n) * grid.image + v * LANES);
                sum += sum_of(total);
            }
            l.conv.bias_gradient[o] = float(sum);
        }
    if (l.conv.weights_gradient) {
        copy_in(in, l.inputs, l.x, l.threads);
        weight_gradient<BLOCK, WIDE>(out, in, l.kernel(), taps, l.conv.weights_gradient, sums, l.threads);
    }
    if (l.x_gradient) {
        pack<BLOCK>(l.kernel(), true, packed);
        const Source source{out, l.outputs, &taps, packed};
        convolve<BLOCK>({{&source, 1, nullptr, in, l.inputs}},
                        l.threads);  // the input is not needed any more
        copy_out(in, l.inputs, l.x_gradient, l.threads);
    }
    return true;
}

inline void resize_layer(const Layer& l, bool backward) {
    const Axis rows(l.height, l.out_height, l.step, l.align_corners),
        columns(l.width, l.out_width, l.step, l.align_corners);
    const int planes = l.images * l.inputs;
    if (backward)
        resize(Axis(rows, l.height), Axis(columns, l.width), l.out_gradient, l.x_gradient, planes,
               long(l.out_height) * l.out_width, l.out_width, l.threads);
    else resize(rows, columns, l.x, l.out, planes, long(l.height) * l.width, l.width, l.threads);
}
