// Convolutions and what is done in the same pass: residuals, ReLU, sums for channel attention, a shortcut.
#pragma once
#include <cmath>
#include <limits>

#include "program.hpp"
#include "vectors.hpp"

template <int N> struct Count {
    static constexpr int value = N;
};

// Covers rows [top, bottom) and columns [x, width) by tiles of rows x vectors: wide ones row after row, as
// memory is read best, then high ones for the columns that are left.
template <class Tile> INLINE void sweep(int top, int bottom, int x, int width, Tile tile) {
    const int start = x, wide = (width - x) / (TILE * LANES) * (TILE * LANES);
    for (int y = top; y < bottom; y++)
        for (x = start; x < start + wide; x += TILE * LANES) tile(Count<1>{}, Count<TILE>{}, y, x);
    for (x = start + wide; x < width; x += LANES) {
        int y = top;
        for (; y + TILE <= bottom; y += TILE) tile(Count<TILE>{}, Count<1>{}, y, x);
        for (; y < bottom; y++) tile(Count<1>{}, Count<1>{}, y, x);
    }
}

// sums[o][r][c] += weights of B outputs over all inputs and taps, at the tile that begins at `at`.
template <int B, int R, int C>
INLINE void convolve(const float* const* in, int inputs, const int32_t* offsets, int taps,
                     const float* weights, long at, long stride, Vec (&sums)[B][R][C], bool prefetch = true) {
    for (int i = 0; i < inputs; i++) {
        const float* plane = in[i] + at;
        // The row after the tile's last: more planes than a processor follows by itself.
        const float* next = plane + offsets[taps - 1] + R * stride;
        if (prefetch)
            for (int r = 0; r < R; r++)
                for (int c = 0; c < C * LANES; c += LINE) __builtin_prefetch(next + r * stride + c);
        for (int t = 0; t < taps; t++, weights += B) {
            const float* from = plane + offsets[t];
            Vec pixels[R][C];
            for (int r = 0; r < R; r++)
                for (int c = 0; c < C; c++) pixels[r][c] = load(from + r * stride + c * LANES);
            for (int o = 0; o < B; o++) {
                Vec weight = all(weights[o]);
                for (int r = 0; r < R; r++)
                    for (int c = 0; c < C; c++) sums[o][r][c] += weight * pixels[r][c];
            }
        }
    }
}

// Columns x and after of a source row, as another map samples them.
INLINE Vec sample(const Sampling& by, const float* row, int x) {
    const int32_t start = by.columns[x];
    const Ints index = load(by.columns + x) - start;
    const float* from = row + start;
    const Vec a = __builtin_shuffle(load(from), load(from + LANES), index);
    const Vec b = __builtin_shuffle(load(from + 1), load(from + LANES + 1), index);
    return a + load(by.column_shares + x) * (b - a);
}

// A number of outputs, filled up to whole blocks.
template <int B> constexpr int padded(int outputs) { return (outputs + B - 1) / B * B; }

// Where an item sums up for channel attention; nullptr without it.
INLINE float* start_pooling(const Op& op, int item) {
    if (!(op.mode & CONV_GATE)) return nullptr;
    float* partial = op.partial + long(item) * op.outputs * 2 * LANES;
    for (int o = 0; o < op.outputs; o++) {
        store(partial + o * 2 * LANES, Vec{});
        store(partial + (o * 2 + 1) * LANES, all(-std::numeric_limits<float>::infinity()));
    }
    return partial;
}

// See finish().
template <bool STREAMED, int R, int C>
INLINE void finish_as(const Op& op, float* partial, int output, long at, int left, int rows,
                      Vec (&sums)[R][C]) {
    const bool relu_after = op.mode & CONV_RELU;
    const Vec lowest = all(-std::numeric_limits<float>::infinity());
    const long stride = op.stride;
    float* out = op.out[output] + at;
    const float* add = op.mode & CONV_ADD ? op.side[output] + at : nullptr;
    Vec sum{}, most = lowest;
    for (int c = 0; c < C; c++) {
        const int lanes = left - c * LANES;
        for (int r = 0; r < rows; r++) {
            const long here = r * stride + c * LANES;
            Vec value = sums[r][c];
            if (add) value += load(add + here);
            if (relu_after) value = relu(value);
            if (lanes < LANES) {
                most = maximum(most, first_lanes(value, lanes, lowest));
                value = first_lanes(value, lanes, Vec{});
            } else {
                most = maximum(most, value);
            }
            sum += value;
            store(out + here, value, STREAMED);
        }
    }
    if (partial) {
        float* to = partial + output * 2 * LANES;
        store(to, load(to) + sum);
        store(to + LANES, maximum(load(to + LANES), most));
    }
}

// What is done with the sums of an output, at `rows` x C vectors, while they are in registers; `left` columns
// of the map remain.
template <int R, int C>
INLINE void finish(const Op& op, float* partial, int output, long at, int left, int rows, Vec (&sums)[R][C]) {
    if (op.mode & STREAM) finish_as<true>(op, partial, output, at, left, rows, sums);
    else finish_as<false>(op, partial, output, at, left, rows, sums);
}

template <int B> void conv(const Op& op, int item, int top, int bottom) {
    float* partial = start_pooling(op, item);
    sweep(top, bottom, 0, op.width, [&](auto rows, auto columns, int y, int x) INLINE_LAMBDA {
        constexpr int R = rows.value, C = columns.value;
        const long at = long(y) * op.stride + x;
        const int left = op.width - x;
        for (int first = 0; first < op.outputs; first += B) {
            Vec sums[B][R][C];
            for (int o = 0; o < B; o++)
                for (int r = 0; r < R; r++)
                    for (int c = 0; c < C; c++) sums[o][r][c] = all(op.bias[first + o]);
            convolve(op.in, op.inputs, op.offsets, op.taps, op.weights + long(first) * op.inputs * op.taps,
                     at, op.stride, sums);
            for (int o = 0; o < B && first + o < op.outputs; o++)
                finish(op, partial, first + o, at, left, R, sums[o]);
        }
        // The block's shortcut, while its inputs are in the nearest cache.
        for (int first = 0; first < op.shortcuts; first += B) {
            const float* bias = op.side_weights + first;
            const float* weights = op.side_weights + padded<B>(op.shortcuts) + long(first) * op.inputs;
            Vec sums[B][R][C];
            for (int o = 0; o < B; o++)
                for (int r = 0; r < R; r++)
                    for (int c = 0; c < C; c++) sums[o][r][c] = all(bias[o]);
            convolve(op.in, op.inputs, op.offsets + op.taps / 2, 1, weights, at, op.stride, sums, false);
            for (int o = 0; o < B && first + o < op.shortcuts; o++)
                for (int r = 0; r < R; r++)
                    for (int c = 0; c < C; c++) {
                        const Vec value = sums[o][r][c];
                        store(op.out[op.outputs + first + o] + at + r * op.stride + c * LANES,
                              left < LANES ? first_lanes(value, left, Vec{}) : value, op.mode & STREAM);
                    }
        }
    });
    if (op.mode & STREAM) end_streams();
}
