// Convolutions and what is done in the same pass: residuals, ReLU, the two attentions.
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

// A number of outputs, filled up to whole blocks.
template <int B> constexpr int padded(int outputs) { return (outputs + B - 1) / B * B; }

template <int B> void conv(const Op& op, int item, int top, int bottom) {
    const bool relu_after = op.mode & CONV_RELU, add = op.mode & CONV_ADD, gate = op.mode & CONV_GATE;
    float* partial = gate ? op.partial + long(item) * op.outputs * 2 * LANES : nullptr;
    const Vec lowest = all(-std::numeric_limits<float>::infinity());
    for (int o = 0; gate && o < op.outputs; o++) {
        store(partial + o * 2 * LANES, Vec{});
        store(partial + (o * 2 + 1) * LANES, lowest);
    }
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
            for (int o = 0; o < B && first + o < op.outputs; o++) {
                float* out = op.out[first + o] + at;
                Vec sum{}, most = lowest;
                for (int r = 0; r < R; r++)
                    for (int c = 0; c < C; c++) {
                        Vec value = sums[o][r][c];
                        if (add) value += load(op.side[first + o] + at + r * op.stride + c * LANES);
                        if (relu_after) value = relu(value);
                        if (left < LANES) {
                            most = maximum(most, first_lanes(value, left, lowest));
                            value = first_lanes(value, left, Vec{});
                        } else {
                            most = maximum(most, value);
                        }
                        sum += value;
                        store(out + r * op.stride + c * LANES, value);
                    }
                if (gate) {
                    float* to = partial + (first + o) * 2 * LANES;
                    store(to, load(to) + sum);
                    store(to + LANES, maximum(load(to + LANES), most));
                }
            }
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
                              left < LANES ? first_lanes(value, left, Vec{}) : value);
                    }
        }
    });
}

// The channel attention's factors, sigmoid(MLP(mean) + MLP(maximum)), from the sums of all bands.
inline void gate_channels(const Op& op) {
    const int channels = op.outputs, hidden = op.hidden;
    const float *first = op.gate_weights, *first_bias = first + long(hidden) * channels;
    const float *second = first_bias + hidden, *second_bias = second + long(hidden) * channels;
    float* mean = op.gate + channels;  // the program keeps room for these behind the factors
    float* most = mean + channels;
    for (int c = 0; c < channels; c++) {
        double sum = 0;
        most[c] = -std::numeric_limits<float>::infinity();
        for (int item = 0; item < op.items; item++) {
            const float* from = op.partial + (long(item) * channels + c) * 2 * LANES;
            for (int lane = 0; lane < LANES; lane++) {
                sum += from[lane];
                most[c] = std::fmax(most[c], from[LANES + lane]);
            }
        }
        mean[c] = float(sum / (double(op.height) * op.width));
        op.gate[c] = 2 * second_bias[c];
    }
    for (int h = 0; h < hidden; h++) {
        float of_mean = first_bias[h], of_most = first_bias[h];
        for (int c = 0; c < channels; c++) {
            of_mean += first[h * channels + c] * mean[c];
            of_most += first[h * channels + c] * most[c];
        }
        const float both = std::fmax(of_mean, 0.0f) + std::fmax(of_most, 0.0f);
        for (int c = 0; c < channels; c++) op.gate[c] += second[c * hidden + h] * both;
    }
    for (int c = 0; c < channels; c++) op.gate[c] = 1.0f / (1.0f + std::exp(-op.gate[c]));
}

// Mean and maximum over the channels, gated if there is a gate; out[0] or out[1] may be missing.
inline void channels(const Op& op, int top, int bottom) {
    const float share = 1.0f / op.inputs;
    sweep(top, bottom, 0, op.width, [&](auto rows, auto columns, int y, int x) INLINE_LAMBDA {
        constexpr int R = rows.value, C = columns.value;
        const long at = long(y) * op.stride + x;
        Vec sum[R][C]{}, most[R][C]{};
        for (int i = 0; i < op.inputs; i++) {
            const Vec factor = all(op.gate ? op.gate[i] : 1.0f);
            for (int r = 0; r < R; r++)
                for (int c = 0; c < C; c++) {
                    Vec value = factor * load(op.in[i] + at + r * op.stride + c * LANES);
                    sum[r][c] = i ? sum[r][c] + value : value;
                    most[r][c] = i ? maximum(most[r][c], value) : value;
                }
        }
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++) {
                const long here = at + r * op.stride + c * LANES;
                if (op.out[0]) store(op.out[0] + here, first_lanes(share * sum[r][c], op.width - x, Vec{}));
                if (op.out[1]) store(op.out[1] + here, first_lanes(most[r][c], op.width - x, Vec{}));
            }
    });
}

// Four rows of two vectors.
typedef Vec AttentionTile[4][2];

// The `output`-th K x K convolution of the side planes to one map; the first tap is at `at`. The weights of a
// kernel column stay in registers while rows pass by.
template <int K>
INLINE void attention_sums(const Op& op, int outputs, int output, long at, AttentionTile& sums) {
    constexpr int R = 4, C = 2;
    const float* weights = op.side_weights + outputs + long(output) * op.side_inputs * K * K;
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) sums[r][c] = all(op.side_weights[output]);
    for (int i = 0; i < op.side_inputs; i++, weights += K * K)
        for (int u = 0; u < K; u++) {
            const float* from = op.side[i] + at + u;
            Vec column[K];
            for (int v = 0; v < K; v++) column[v] = all(weights[v * K + u]);
#pragma GCC unroll 10
            for (int row = 0; row < R + K - 1; row++)
                for (int c = 0; c < C; c++) {
                    const Vec pixels = load(from + long(row) * op.in_stride + c * LANES);
#pragma GCC unroll 10
                    for (int r = 0; r < R; r++)
                        if (row - r >= 0 && row - r < K) sums[r][c] += column[row - r] * pixels;
                }
        }
}

// CBAM: the sigmoid of one convolution, zeros beyond the border.
template <int K>
void spatial_tile(const Op& op, int y, int x, float* out, int out_stride) {
    AttentionTile sums;
    attention_sums<K>(op, 1, 0, long(y - K / 2) * op.in_stride + x - K / 2, sums);
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 2; c++) store(out + r * out_stride + c * LANES, sigmoid(sums[r][c]));
}

// DSA: the sigmoid of the least squared response of four axes; the side planes hold the border already.
inline void directional_tile(const Op& op, int y, int x, float* out, int out_stride) {
    AttentionTile least, sums;
    for (int axis = 0; axis < 4; axis++) {
        attention_sums<7>(op, 4, axis, long(y) * op.in_stride + x, sums);
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 2; c++) {
                const Vec contrast = sums[r][c] * sums[r][c];
                least[r][c] = axis ? minimum(least[r][c], contrast) : contrast;
            }
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 2; c++) store(out + r * out_stride + c * LANES, sigmoid(least[r][c]));
}

// relu(gated * gate * attention(side) + shortcut): the end of a residual block with attention.
inline void attend(const Op& op, int top, int bottom) {
    const auto tile = op.mode & ATTEND_AXES ? directional_tile :
        op.side_taps == 9                   ? spatial_tile<3> :
                                              spatial_tile<7>;
    constexpr int ROWS = 4, CHUNK = 256;
    alignas(64) float attention[ROWS * CHUNK];
    for (int y0 = top; y0 < bottom; y0 += ROWS)
        for (int x0 = 0; x0 < op.width; x0 += CHUNK) {
            const int y1 = y0 + ROWS < bottom ? y0 + ROWS : bottom;
            const int x1 = x0 + CHUNK < op.width ? x0 + CHUNK : op.width;
            for (int x = x0; x < x1; x += 2 * LANES)  // rows and columns too many are computed and not used
                tile(op, y0, x, attention + x - x0, CHUNK);
            sweep(y0, y1, x0, x1, [&](auto rows, auto columns, int y, int x) INLINE_LAMBDA {
                constexpr int R = rows.value, C = columns.value, B = 4;
                const long at = long(y) * op.stride + x;
                const float* factors = attention + (y - y0) * CHUNK + x - x0;
                const int left = op.width - x;
                for (int first = 0; first < op.outputs; first += B) {
                    Vec sums[B][R][C];
                    const int count = op.outputs - first < B ? op.outputs - first : B;
                    for (int o = 0; o < B; o++)
                        for (int r = 0; r < R; r++)
                            for (int c = 0; c < C; c++)
                                sums[o][r][c] = op.mode & ATTEND_CONV ?
                                    all(op.bias[first + o]) :
                                    load(op.in[first + (o < count ? o : 0)] + at + r * op.stride + c * LANES);
                    if (op.mode & ATTEND_CONV)
                        convolve(op.in, op.inputs, op.offsets, op.taps,
                                 op.weights + long(first) * op.inputs * op.taps, at, op.stride, sums);
                    for (int o = 0; o < B && o < count; o++) {
                        const Vec factor = all(op.gate[first + o]);
                        for (int r = 0; r < R; r++)
                            for (int c = 0; c < C; c++) {
                                const long here = at + r * op.stride + c * LANES;
                                const Vec attended = load(op.gated[first + o] + here) * factor *
                                    load(factors + r * CHUNK + c * LANES);
                                Vec value = relu(attended + sums[o][r][c]);
                                if (left < LANES) value = first_lanes(value, left, Vec{});
                                store(op.out[first + o] + here, value);
                            }
                    }
                }
            });
        }
}
