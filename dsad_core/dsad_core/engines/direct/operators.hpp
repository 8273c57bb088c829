// All other operators, and the choice among all of them; each works on a band of rows of its output.
#pragma once
#include <cmath>
#include <cstring>
#include <limits>

#include "attention.hpp"
#include "bytes.hpp"
#include "winograd.hpp"

// Bilinear, columns first; a source row serves all output rows that need it.
inline void resize(const Op& op, int top, int bottom) {
    const Sampling& by = **op.sampling;
    alignas(64) float lines[2][CHUNK];
    for (int x0 = 0; x0 < op.width; x0 += CHUNK) {
        const int count = op.width - x0 < CHUNK ? op.width - x0 : CHUNK;
        for (int i = 0; i < op.inputs; i++) {
            int held[2] = {-1, -1};
            auto line = [&](int row) -> const float* {  // source row `row` at the output's columns
                float* to = lines[row & 1];
                if (held[row & 1] == row) return to;
                held[row & 1] = row;
                for (int x = 0; x < count; x += LANES)
                    store(to + x, sample(by, op.in[i] + long(row) * by.stride, x0 + x));
                return to;
            };
            for (int y = top; y < bottom; y++) {
                const int row = by.rows[y];
                const float *above = line(row), *below = line(row + 1 < by.height ? row + 1 : row);
                const Vec share = all(by.row_shares[y]);
                float* out = op.out[i] + long(y) * op.stride + x0;
                for (int x = 0; x < count; x += LANES) {
                    const Vec a = load(above + x);
                    const Vec value = a + share * (load(below + x) - a);
                    store(out + x, count - x < LANES ? first_lanes(value, count - x, Vec{}) : value);
                }
            }
        }
    }
}

// Maximum of windows of taps x taps, side by side; a window that the border cuts is smaller.
inline void pool(const Op& op, int top, int bottom) {
    const int size = op.taps;
    const bool pairs = size == 2 && op.width * 2 <= op.in_width && op.height * 2 <= op.in_height;
    const Ints even = lane_numbers() * 2;
    for (int i = 0; i < op.inputs; i++)
        for (int y = top; y < bottom; y++) {
            const float* in = op.in[i] + long(y) * size * op.in_stride;
            float* out = op.out[i] + long(y) * op.stride;
            for (int x = 0; pairs && x < op.width; x += LANES) {
                const float* from = in + 2 * x;
                const Vec a = maximum(load(from), load(from + op.in_stride));
                const Vec b = maximum(load(from + LANES), load(from + LANES + op.in_stride));
                const Vec value = maximum(__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, even + 1));
                store(out + x, first_lanes(value, op.width - x, Vec{}));
            }
            for (int x = 0; !pairs && x < op.width; x++) {
                float most = -std::numeric_limits<float>::infinity();
                for (int v = 0; v < size && y * size + v < op.in_height; v++)
                    for (int u = 0; u < size && x * size + u < op.in_width; u++)
                        most = std::fmax(most, in[long(v) * op.in_stride + x * size + u]);
                out[x] = most;
            }
        }
}

inline void pointwise(const Op& op, int top, int bottom) {
    const int function = op.mode & POINT_FUNCTION;
    const bool left_scalar = op.mode & LEFT_SCALAR, right_scalar = op.mode & RIGHT_SCALAR;
    for (int i = 0; i < op.outputs; i++)
        for (int y = top; y < bottom; y++)
            for (int x = 0; x < op.width; x += LANES) {
                const long at = long(y) * op.stride + x;
                const Vec a = left_scalar ? all(*op.in[i]) : load(op.in[i] + at);
                Vec value;
                if (function == POINT_RELU) value = relu(a);
                else if (function == POINT_SIGMOID) value = sigmoid(a);
                else {
                    const Vec b = right_scalar ? all(*op.side[i]) : load(op.side[i] + at);
                    value = function == POINT_ADD ? a + b : a * b;
                }
                store(op.out[i] + at, first_lanes(value, op.width - x, Vec{}));
            }
}

// One plane's mean or maximum; item = plane.
inline void global_pool(const Op& op, int plane) {
    double sum = 0;
    float most = -std::numeric_limits<float>::infinity();
    for (int y = 0; y < op.in_height; y++)
        for (int x = 0; x < op.in_width; x++) {
            const float value = op.in[plane][long(y) * op.in_stride + x];
            sum += value;
            most = std::fmax(most, value);
        }
    *op.out[plane] = op.mode == GLOBAL_MEAN ? float(sum / (double(op.in_height) * op.in_width)) : most;
}

// A group of planes, item = group, to mean 0 and variance 1.
inline void normalise(const Op& op, int group) {
    const int first = group * op.block, last = first + op.block;
    const auto each = [&](auto visit) INLINE_LAMBDA {
        for (int i = first; i < last; i++)
            for (int y = 0; y < op.height; y++)
                for (int x = 0; x < op.width; x += LANES)
                    visit(i, long(y) * op.stride + x, op.width - x, load(op.in[i] + long(y) * op.stride + x));
    };
    // In doubles, lane by lane: a large map adds up more numbers than a float can hold.
    typedef double Doubles __attribute__((vector_size(LANES * 8)));
    const auto total = [](const Doubles& lanes) {
        double sum = 0;
        for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
        return sum;
    };
    const double count = double(op.block) * op.height * op.width;
    Doubles sum{}, squares{};
    each([&](int, long, int, Vec value) INLINE_LAMBDA { sum += __builtin_convertvector(value, Doubles); });
    const Vec mean = all(float(total(sum) / count));
    each([&](int, long, int left, Vec value) INLINE_LAMBDA {
        const Vec difference = first_lanes(value - mean, left, Vec{});
        squares += __builtin_convertvector(difference * difference, Doubles);
    });
    const Vec scale = all(float(1 / std::sqrt(total(squares) / count + op.bias[0])));
    each([&](int i, long at, int left, Vec value)
             INLINE_LAMBDA { store(op.out[i] + at, first_lanes((value - mean) * scale, left, Vec{})); });
}

// The input in the middle, around it `taps` pixels that repeat its border.
inline void extend(const Op& op, int top, int bottom) {
    const int border = op.taps;
    for (int i = 0; i < op.inputs; i++)
        for (int y = top; y < bottom; y++) {
            const int row = y < border ? 0 : y - border < op.in_height ? y - border : op.in_height - 1;
            const float* in = op.in[i] + long(row) * op.in_stride;
            float* out = op.out[i] + long(y) * op.stride;
            std::memcpy(out + border, in, op.in_width * sizeof(float));
            for (int x = 0; x < border; x++) {
                out[x] = in[0];
                out[border + op.in_width + x] = in[op.in_width - 1];
            }
        }
}

inline void copy_rows(const Op& op, const Frame& frame, int top, int bottom) {
    const long area = long(op.height) * op.width;
    for (int i = 0; i < op.outputs; i++)
        for (int y = top; y < bottom; y++) {
            const long dense = i * area + long(y) * op.width, padded = long(y) * op.stride;
            const size_t bytes = op.width * sizeof(float);
            if (op.kind == LOAD) std::memcpy(op.out[i] + padded, frame.image + dense, bytes);
            else std::memcpy(frame.logits + dense, op.in[i] + padded, bytes);
        }
}

// Bytes of memory that a thread needs for an item.
inline size_t scratch_bytes(const Op& op) {
    switch (op.kind) {
        case WINOGRAD: return Strips::bytes(op);
        case CONV_BYTES: return bytes_scratch(op);
        case ATTEND: return attention_bytes(op);
    }
    return 0;
}

inline void run_item(const Op& op, const Frame& frame, int item, void* scratch) {
    const int top = item * op.band;
    const int bottom = top + op.band < op.height ? top + op.band : op.height;
    switch (op.kind) {
        case LOAD:
        case STORE: return copy_rows(op, frame, top, bottom);
        case CONV: return op.block == 1 ? conv<1>(op, item, top, bottom) : conv<4>(op, item, top, bottom);
        case WINOGRAD: return winograd(op, item, top, bottom, scratch);
        case CHANNELS: return channels(op, top, bottom);
        case ATTEND: return attend(op, top, bottom, scratch);
        case RESIZE: return resize(op, top, bottom);
        case POOL: return op.mode & BYTES_IN ? pool_bytes(op, top, bottom) : pool(op, top, bottom);
        case POINTWISE: return pointwise(op, top, bottom);
        case GLOBAL: return global_pool(op, item);
        case EXTEND: return extend(op, top, bottom);
        case NORMALISE: return normalise(op, item);
        case CONV_BYTES: return conv_bytes(op, item, top, bottom, scratch);
        case FLOATS: return floats(op, top, bottom);
    }
}
