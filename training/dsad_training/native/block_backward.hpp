// A residual block's backward pass.
#pragma once
#include "block_forward.hpp"

// What the backward pass works in. `outputs` planes on the features' grid unless said otherwise.
struct Gradients {
    Planes sum;                 // of the sum before the last ReLU; later of the shortcut convolution's output
    Planes second;              // of the second BN's output, later of its input
    Planes first;               // of the first BN's output, later of its input
    Planes in;                  // `inputs` planes
    Planes responses, summary;  // on the wide grid
    float *slope, *of_mean, *of_most;  // (N,C) of the gate by channel and what it is made from

    Gradients(const Block& b, const Memory& m, Workspace& workspace) {
        const auto planes = [&](const Grid& grid, long channels) {
            return Planes{workspace.take(channels * grid.plane), &grid};
        };
        sum = planes(m.grid, b.outputs), second = planes(m.grid, b.outputs),
        first = planes(m.grid, b.outputs);
        in = planes(m.grid, b.x_gradient ? b.inputs : 0);
        responses = planes(m.wide, b.side ? b.axes : 0), summary = planes(m.wide, b.side ? 2 : 0);
        for (float** each : {&slope, &of_mean, &of_most}) *each = workspace.take(long(b.images) * b.outputs);
    }
    static long floats(const Block& b, const Memory& m) {
        return (3 * b.outputs + b.inputs) * m.grid.plane + (b.axes + 2) * m.wide.plane +
            3 * rounded(long(b.images) * b.outputs, LINE) + 16 * LINE;
    }
};

// Image n: the gradient of the last ReLU's input, from that of its output.
inline void through_relu(const Block& b, const Memory& m, const Gradients& g, int n, int c) {
    float* image = g.sum.at(c) + long(n) * m.grid.image;
    std::memset(image, 0, m.grid.image * sizeof(float));
    const long from = (long(n) * b.outputs + c) * b.area();
    for (int y = 0; y < b.height; y++) {
        const float *out = b.out + from + long(y) * b.width,
                    *gradient = b.out_gradient + from + long(y) * b.width;
        float* to = image + m.grid.pixel(0, y);
        for (int x = 0; x < b.width; x++) to[x] = out[x] <= 0 ? 0.0f : gradient[x];
    }
}

// Image n: the gradient of the responses of the gate by place.
inline void place_slope(const Block& b, const Memory& m, const Gradients& g, int n, float* flat) {
    const long image = long(n) * m.grid.image;
    float *slope = flat, *others = flat + m.grid.image;
    for (int v = 0; v < m.grid.vectors(); v++) {
        Vec sum{};
        for (int c = 0; c < b.outputs; c++) {
            const Vec z = gate_of(b, m, n, c) * normalised(m.second_affine[c], m.second.at(c) + image, v);
            sum += z * load(g.sum.at(c) + image + v * LANES);
        }
        const Vec map = load(m.map + image + v * LANES);
        store(slope + v * LANES, m.mask[v] ? sum * map * (1.0f - map) : Vec{});
    }
    if (b.axes > 1) {
        for (int axis = 0; axis < b.axes; axis++)
            change_grid(m.wide, m.responses.at(axis) + long(n) * m.wide.image, m.grid,
                        others + long(axis) * m.grid.image);
        for (int v = 0; v < m.grid.vectors(); v++) {
            float* at = others + v * LANES;
            Vec least = load(at) * load(at), ties{};
            for (int axis = 1; axis < b.axes; axis++) {
                const Vec r = load(at + long(axis) * m.grid.image);
                least = minimum(least, r * r);
            }
            for (int axis = 0; axis < b.axes; axis++) {
                const Vec r = load(at + long(axis) * m.grid.image);
                ties += r * r == least ? all(1.0f) : Vec{};
            }
            const Vec share = 2.0f * load(slope + v * LANES) / maximum(ties, all(1.0f));
            for (int axis = 0; axis < b.axes; axis++) {
                const Vec r = load(at + long(axis) * m.grid.image);
                const Vec one = r * r == least ? share * r : Vec{};
                store(at + long(axis) * m.grid.image, m.mask[v] ? one : Vec{});
            }
        }
    }
    for (int axis = 0; axis < b.axes; axis++) {
        float* to = g.responses.at(axis) + long(n) * m.wide.image;
        std::memset(to, 0, m.wide.image * sizeof(float));
        change_grid(m.grid, b.axes > 1 ? others + long(axis) * m.grid.image : slope, m.wide, to);
    }
}

// Image n: the gradient of the second BN's output, but for the part that comes by the pooled mean and
// maximum; `slope` becomes the gradient of the gate by channel.
inline void gate_slope(const Block& b, const Memory& m, const Gradients& g, int n, float* flat) {
    const long image = long(n) * m.grid.image;
    float *of_mean = flat, *of_most = flat + m.grid.image, *most = flat + 2 * m.grid.image;
    if (b.side) {
        for (float* each : {of_mean, of_most}) {
            std::memset(each, 0, m.grid.image * sizeof(float));
            float* from = g.summary.at(each == of_most) + long(n) * m.wide.image;
            if (b.replicate) fold_border(m.wide, b.side / 2, from);
            change_grid(m.wide, from, m.grid, each);
        }
        change_grid(m.wide, m.summary.at(1) + long(n) * m.wide.image, m.grid, most);
        for (int v = 0; v < m.grid.vectors(); v++) {
            const Vec top = load(most + v * LANES);
            Vec ties{};
            for (int c = 0; c < b.outputs; c++) {
                const Vec z = gate_of(b, m, n, c) * normalised(m.second_affine[c], m.second.at(c) + image, v);
                ties += z == top ? all(1.0f) : Vec{};
            }
            store(of_most + v * LANES, load(of_most + v * LANES) / maximum(ties, all(1.0f)));
            store(of_mean + v * LANES, load(of_mean + v * LANES) * (1.0f / b.outputs));
        }
    }
    for (int c = 0; c < b.outputs; c++) {
        const Vec gate = all(gate_of(b, m, n, c));
        const float *plane = m.second.at(c) + image, *sum = g.sum.at(c) + image;
        float* to = g.second.at(c) + image;
        Vec slope{};
        for (int v = 0; v < m.grid.vectors(); v++) {
            const Vec z = normalised(m.second_affine[c], plane, v);
            Vec d = load(sum + v * LANES);
            if (b.side) {
                const Vec shared = gate * z == load(most + v * LANES) ? load(of_most + v * LANES) : Vec{};
                d = d * load(m.map + image + v * LANES) + load(of_mean + v * LANES) +
                    (m.mask[v] ? shared : Vec{});
            }
            slope += d * z;
            store(to + v * LANES, d * gate);
        }
        g.slope[long(n) * b.outputs + c] = sum_of(slope);
    }
}

// Image n, channel c: adds what comes by the pooled mean and maximum, the latter at the first pixel that has
// it.
inline void add_pooled(const Block& b, const Memory& m, const Gradients& g, int n, int c) {
    const long at = long(n) * b.outputs + c, image = long(n) * m.grid.image;
    float* to = g.second.at(c) + image;
    const Vec share = all(g.of_mean[at] / float(b.area()));
    for (int v = 0; v < m.grid.vectors(); v++)
        store(to + v * LANES, load(to + v * LANES) + (m.mask[v] ? share : Vec{}));
    const float *plane = m.second.at(c) + image, peak = m.peak[at];
    for (int y = 0; y < b.height; y++) {
        const float* row = plane + m.grid.pixel(0, y);
        int found = 0;
        for (int x = 0; x < b.width; x++) found |= row[x] == peak;
        if (!found) continue;
        int x = 0;
        while (row[x] != peak) x++;
        to[m.grid.pixel(0, y) + x] += g.of_most[at];
        return;
    }
}

inline long block_sums_floats(const Block& b) {
    return weight_sums_floats<BLOCK, WIDE>(b.outputs, std::max(b.inputs, b.outputs), 9) +
        weight_sums_floats<BLOCK, WIDE>(BLOCK, 2, 49);
}

inline void block_backward(const Block& b, const Memory& m, Workspace& workspace) {
    const Grid& grid = m.grid;
    const Taps three(grid, 3), one(grid, 1), place(m.wide, b.side ? b.side : 1);
    const Gradients g(b, m, workspace);
    float* packed = workspace.take(packed_for(b));
    float* sums = workspace.take(block_sums_floats(b));
    float* flat = workspace.take(long(b.images) * 5 * grid.image);
    float* both = workspace.take(4 * b.hidden);
    const Kernel first = b.kernel(b.first, b.inputs, 3), second = b.kernel(b.second, b.outputs, 3);
    const Kernel shortcut = b.kernel(b.shortcut, b.inputs, 1);
    const auto mine = [&](int n) { return flat + long(n) * 5 * grid.image; };

    parallel(b.threads, b.images, [&](int n) {
        for (int c = 0; c < b.outputs; c++) through_relu(b, m, g, n, c);
        if (b.side) place_slope(b, m, g, n, mine(n));
    });
    if (b.side) {
        g.responses.clear_ends(b.axes);
        const Source source{g.responses, b.axes, &place, packed};
        pack<BLOCK>(b.place_kernel(), true, packed);
        convolve<BLOCK>({{&source, 1, nullptr, g.summary, 2}}, b.threads);
        if (b.place_gradient && b.axes == 1)
            weight_gradient<1, 2 * WIDE>(g.responses, m.summary, b.place_kernel(), place, b.place_gradient,
                                         sums, b.threads);
        else if (b.place_gradient)
            weight_gradient<BLOCK, WIDE>(g.responses, m.summary, b.place_kernel(), place, b.place_gradient,
                                         sums, b.threads);
    }
    parallel(b.threads, b.images, [&](int n) { gate_slope(b, m, g, n, mine(n)); });
    if (b.hidden) {
        const long weights = long(b.hidden) * b.outputs;
        std::memset(b.gate_first_gradient, 0, weights * sizeof(float));
        std::memset(b.gate_second_gradient, 0, weights * sizeof(float));
        for (int n = 0; n < b.images; n++) {
            const long at = long(n) * b.outputs;
            b.perceptron().backward(m.mean + at, m.most + at, m.gate + at, g.slope + at, both, g.of_mean + at,
                                    g.of_most + at);
        }
    }

    g.second.clear_ends(b.outputs), g.sum.clear_ends(b.outputs);
    parallel(b.threads, b.outputs, [&](int c) {
        for (int n = 0; b.hidden && n < b.images; n++) add_pooled(b, m, g, n, c);
        b.second.bias_gradient[c] =
            norm_backward(b.second_norm, c, m.second_affine[c], m.second.at(c), g.second.at(c), grid, m.mask);
        if (b.projected)
            b.shortcut.bias_gradient[c] = norm_backward(b.shortcut_norm, c, m.shortcut_affine[c],
                                                        m.shortcut.at(c), g.sum.at(c), grid, m.mask);
    });
    weight_gradient<BLOCK, WIDE>(g.second, m.active, second, three, b.second.weights_gradient, sums,
                                 b.threads);

    const Source from_second{g.second, b.outputs, &three, packed};
    pack<BLOCK>(second, true, packed);
    convolve<BLOCK>({{&from_second, 1, nullptr, g.first, b.outputs}}, b.threads);
    g.first.clear_ends(b.outputs);
    parallel(b.threads, b.outputs, [&](int c) {
        float* to = g.first.at(c);
        for (long p = 0; p < grid.body(); p += LANES)
            store(to + p, load(m.active.at(c) + p) > Vec{} ? load(to + p) : Vec{});
        b.first.bias_gradient[c] =
            norm_backward(b.first_norm, c, m.first_affine[c], m.first.at(c), to, grid, m.mask);
    });
    weight_gradient<BLOCK, WIDE>(g.first, m.in, first, three, b.first.weights_gradient, sums, b.threads);
    if (b.projected)
        weight_gradient<BLOCK, WIDE>(g.sum, m.in, shortcut, one, b.shortcut.weights_gradient, sums,
                                     b.threads);
    if (!b.x_gradient) return;

    float* narrow = packed + packed_floats(b.inputs, b.outputs, 9, BLOCK);
    const Source sources[] = {{g.first, b.outputs, &three, packed}, {g.sum, b.outputs, &one, narrow}};
    pack<BLOCK>(first, true, packed);
    if (b.projected) pack<BLOCK>(shortcut, true, narrow);
    convolve<BLOCK>({{sources, b.projected ? 2 : 1, nullptr, g.in, b.inputs}}, b.threads);
    if (!b.projected)
        parallel(b.threads, b.inputs, [&](int c) {
            for (long p = 0; p < grid.body(); p += LANES)
                store(g.in.at(c) + p, load(g.in.at(c) + p) + load(g.sum.at(c) + p));
        });
    copy_out(g.in, b.inputs, b.x_gradient, b.threads);
}
