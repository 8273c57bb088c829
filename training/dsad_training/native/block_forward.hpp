// A residual block's forward pass.
#pragma once
#include <limits>

#include "block.hpp"

// Mean and maximum of a channel's images after an affine map; `peak` is what the map takes to the maximum.
inline void pool(const Block& b, const Memory& m, int c) {
    const Affine affine = m.second_affine[c];
    const Vec lowest = all(-std::numeric_limits<float>::infinity());
    const bool falling = affine.factor < 0;
    for (int n = 0; n < b.images; n++) {
        const float* plane = m.second.at(c) + long(n) * m.grid.image;
        Vec sum{}, most = lowest;
        for (int v = 0; v < m.grid.vectors(); v++) {
            const Vec y = load(plane + v * LANES);
            sum += m.mask[v] ? y : Vec{};
            most = maximum(most, m.mask[v] ? (falling ? -y : y) : lowest);
        }
        float peak = most[0];
        for (int i = 1; i < LANES; i++) peak = std::max(peak, most[i]);
        peak = falling ? -peak : peak;
        const long at = long(n) * b.outputs + c;
        m.mean[at] = affine.factor * (sum_of(sum) / float(b.area())) + affine.offset;
        m.most[at] = affine.factor * peak + affine.offset;
        m.peak[at] = peak;
    }
}

// Channel c of image n after the second BN and the gate by channel, at one vector.
INLINE Vec normalised(const Affine& affine, const float* plane, int v) {
    return affine.factor * load(plane + v * LANES) + affine.offset;
}

INLINE float gate_of(const Block& b, const Memory& m, int n, int c) {
    return b.hidden ? m.gate[long(n) * b.outputs + c] : 1.0f;
}

// An image's mean and maximum over the gated channels, into the planes that the gate by place reads.
inline void summarise(const Block& b, const Memory& m, int n, float* flat) {
    float *mean = flat, *most = flat + m.grid.image;
    const float share = 1.0f / b.outputs;
    for (int v = 0; v < m.grid.vectors(); v++) {
        Vec sum{}, top{};
        for (int c = 0; c < b.outputs; c++) {
            const Vec z = gate_of(b, m, n, c) *
                normalised(m.second_affine[c], m.second.at(c) + long(n) * m.grid.image, v);
            sum = c ? sum + z : z;
            top = c ? maximum(top, z) : z;
        }
        store(mean + v * LANES, share * sum);
        store(most + v * LANES, top);
    }
    for (int i = 0; i < 2; i++) {
        float* image = m.summary.at(i) + long(n) * m.wide.image;
        std::memset(image, 0, m.wide.image * sizeof(float));
        change_grid(m.grid, i ? most : mean, m.wide, image);
        if (b.replicate) replicate_border(m.wide, b.side / 2, image);
    }
}

// An image's gate by place from the responses.
inline void place_gate(const Block& b, const Memory& m, int n, float* flat) {
    for (int axis = 0; axis < b.axes; axis++)
        change_grid(m.wide, m.responses.at(axis) + long(n) * m.wide.image, m.grid,
                    flat + long(axis) * m.grid.image);
    float* map = m.map + long(n) * m.grid.image;
    for (int v = 0; v < m.grid.vectors(); v++) {
        Vec value = load(flat + v * LANES);
        if (b.axes > 1) {
            value *= value;
            for (int axis = 1; axis < b.axes; axis++) {
                const Vec other = load(flat + long(axis) * m.grid.image + v * LANES);
                value = minimum(value, other * other);
            }
        }
        store(map + v * LANES, m.mask[v] ? sigmoid(value) : Vec{});
    }
}

// An image's output, channel c: relu(gated features + shortcut).
inline void finish(const Block& b, const Memory& m, int n, int c, float* flat) {
    const long image = long(n) * m.grid.image;
    const float *plane = m.second.at(c) + image, *map = b.side ? m.map + image : nullptr;
    const float* side = b.projected ? m.shortcut.at(c) + image : m.in.at(c) + image;
    const Affine along = b.projected ? m.shortcut_affine[c] : Affine{1, 0, 0, 1};
    const Vec gate = all(gate_of(b, m, n, c));
    for (int v = 0; v < m.grid.vectors(); v++) {
        Vec z = gate * normalised(m.second_affine[c], plane, v);
        if (map) z *= load(map + v * LANES);
        store(flat + v * LANES, rectified(z + normalised(along, side, v)));
    }
    image_out(m.grid, flat, b.out + (long(n) * b.outputs + c) * b.area());
}

inline void block_forward(const Block& b, const Memory& m, Workspace& workspace) {
    const Grid& grid = m.grid;
    const Taps three(grid, 3), one(grid, 1), place(m.wide, b.side ? b.side : 1);
    float* packed = workspace.take(packed_for(b));
    float* flat = workspace.take(long(b.images) * 4 * grid.image);
    float* both = workspace.take(4 * b.hidden);
    const auto affine = [&](const Norm& norm, int c, const float* plane) {
        return b.training ? batch_affine(norm, c, plane, grid, m.mask) : known_affine(norm, c);
    };
    pixel_mask(grid, reinterpret_cast<int32_t*>(m.mask));

    copy_in(m.in, b.inputs, b.x, b.threads);
    const Kernel first = b.kernel(b.first, b.inputs, 3), second = b.kernel(b.second, b.outputs, 3);
    float* narrow = packed + packed_floats(b.outputs, b.inputs, 9, BLOCK);
    const Source wide{m.in, b.inputs, &three, packed}, centre{m.in, b.inputs, &one, narrow};
    const Convolution body{&wide, 1, b.first.bias, m.first, b.outputs};
    const Convolution side{&centre, 1, b.shortcut.bias, m.shortcut, b.outputs};
    pack<BLOCK>(first, false, packed);
    if (b.projected) {
        pack<BLOCK>(b.kernel(b.shortcut, b.inputs, 1), false, narrow);
        convolve<BLOCK>({body, side}, b.threads);
    } else {
        convolve<BLOCK>({body}, b.threads);
    }
    m.active.clear_ends(b.outputs);
    parallel(b.threads, b.outputs, [&](int c) {
        const float* plane = m.first.at(c);
        const Affine by = m.first_affine[c] = affine(b.first_norm, c, plane);
        for (int n = 0; n < b.images; n++)
            for (int v = 0; v < grid.vectors(); v++) {
                const long at = long(n) * grid.image;
                const Vec value = rectified(normalised(by, plane + at, v));
                store(m.active.at(c) + at + v * LANES, m.mask[v] ? value : Vec{});
            }
        if (b.projected) m.shortcut_affine[c] = affine(b.shortcut_norm, c, m.shortcut.at(c));
    });

    pack<BLOCK>(second, false, packed);
    const Source from_active{m.active, b.outputs, &three, packed};
    convolve<BLOCK>({{&from_active, 1, b.second.bias, m.second, b.outputs}}, b.threads);
    parallel(b.threads, b.outputs, [&](int c) {
        m.second_affine[c] = affine(b.second_norm, c, m.second.at(c));
        if (b.hidden) pool(b, m, c);
    });
    for (int n = 0; b.hidden && n < b.images; n++) {
        const long at = long(n) * b.outputs;
        b.perceptron().gate(m.mean + at, m.most + at, both, m.gate + at);
    }
    if (b.side) {
        m.summary.clear_ends(2);
        parallel(b.threads, b.images, [&](int n) { summarise(b, m, n, flat + long(n) * 4 * grid.image); });
        const Source summary{m.summary, 2, &place, packed};
        if (b.axes == 1) {
            pack<1>(b.place_kernel(), false, packed);
            convolve<1>({{&summary, 1, nullptr, m.responses, 1}}, b.threads);
        } else {
            pack<BLOCK>(b.place_kernel(), false, packed);
            convolve<BLOCK>({{&summary, 1, nullptr, m.responses, b.axes}}, b.threads);
        }
    }
    parallel(b.threads, b.images, [&](int n) {
        float* mine = flat + long(n) * 4 * grid.image;
        if (b.side) place_gate(b, m, n, mine);
        for (int c = 0; c < b.outputs; c++) finish(b, m, n, c, mine);
    });
}
