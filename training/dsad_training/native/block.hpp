// What a residual block's kernels are given, and what the forward pass leaves for the backward one.
#pragma once
#include "attention.hpp"
#include "norm.hpp"

struct Conv {
    const float *weights, *bias;
    float *weights_gradient, *bias_gradient;
    int32_t last;  // channels_last
};

// Mirror of `Block` in block.py: conv3-BN-ReLU-conv3-BN, gates by channel and by place, plus the shortcut,
// ReLU.
struct Block {
    int32_t images, height, width, inputs, outputs;
    int32_t hidden;     // of the gate by channel's perceptron; 0: there is no such gate
    int32_t side;       // of the gate by place's kernel; 0: there is no such gate
    int32_t axes;       // maps of its convolution: CBAM's one, or DSA's four
    int32_t replicate;  // its border repeats the nearest pixel
    int32_t projected;  // the shortcut is a 1x1 convolution and BN
    int32_t training, threads;
    float* saved;  // Memory's floats; null: nothing is kept
    const float* x;
    float* out;
    const float* out_gradient;
    float* x_gradient;  // or null
    Conv first, second, shortcut;
    Norm first_norm, second_norm, shortcut_norm;
    const float *gate_first, *gate_second;
    float *gate_first_gradient, *gate_second_gradient;
    const float* place;  // (axes, 2, side, side)
    float* place_gradient;
    int32_t place_last;

    Kernel kernel(const Conv& conv, int inputs, int side) const {
        return {conv.weights, outputs, inputs, side, conv.last != 0};
    }
    Kernel place_kernel() const { return {place, axes, 2, side, place_last != 0}; }
    Perceptron perceptron() const {
        return {gate_first, gate_second, gate_first_gradient, gate_second_gradient, hidden, outputs};
    }
    long area() const { return long(height) * width; }
};

struct Memory {
    Grid grid;             // of the features
    Grid wide;             // of what the gate by place reads
    Planes in;             // the block's input
    Planes first, active;  // the first convolution's output, and what BN and ReLU make of it
    Planes second;         // the second convolution's output
    Planes shortcut;       // the shortcut convolution's output
    Planes summary;        // mean and maximum over the channels
    Planes responses;      // the gate by place's convolution
    Affine *first_affine, *second_affine, *shortcut_affine;  // of the three BNs, by channel
    float *mean, *most;  // (N,C) over the pixels, of the second BN's output
    float* peak;         // (N,C) the second convolution's output at that maximum
    float* gate;         // (N,C)
    float* map;          // the gate by place, images of `grid`
    Ints* mask;          // see pixel_mask
    long floats = 0;     // all of it

    Memory(const Block& b, float* base)
        : grid(b.images, b.height, b.width, 1, true),
          wide(b.images, b.height, b.width, b.side / 2, false),
          base_(base) {
        const long channels = b.outputs, pooled = b.hidden ? b.images * channels : 0;
        in = planes(grid, b.inputs);
        first = planes(grid, channels), active = planes(grid, channels), second = planes(grid, channels);
        shortcut = planes(grid, b.projected ? channels : 0);
        summary = planes(wide, b.side ? 2 : 0), responses = planes(wide, b.side ? b.axes : 0);
        for (Affine** each : {&first_affine, &second_affine, &shortcut_affine})
            *each = reinterpret_cast<Affine*>(some(channels * long(sizeof(Affine) / sizeof(float))));
        for (float** each : {&mean, &most, &peak, &gate}) *each = some(pooled);
        map = some(b.side ? grid.body() : 0);
        mask = reinterpret_cast<Ints*>(some(grid.image));
    }
    Memory(const Memory&) = delete;

private:
    float* some(long count) {
        const long begin = floats;
        floats += rounded(count, LINE);
        return base_ ? base_ + begin : nullptr;
    }
    Planes planes(const Grid& of, long channels) { return {some(channels * of.plane), &of}; }
    float* base_;
};

inline long packed_for(const Block& b) {
    const long three = std::max(packed_floats(b.outputs, std::max(b.inputs, b.outputs), 9, BLOCK),
                                packed_floats(b.inputs, b.outputs, 9, BLOCK));
    const long one =
        std::max(packed_floats(b.outputs, b.inputs, 1, BLOCK), packed_floats(b.inputs, b.outputs, 1, BLOCK));
    return three + one + packed_floats(BLOCK, 4, 49, BLOCK);
}
