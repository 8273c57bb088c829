// The two attentions of a residual block: factors of channels and of pixels, and their application.
#pragma once
#include "bytes.hpp"

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

// Mean and maximum over the channels of planes, times their factors, at R x C vectors.
template <int R, int C>
INLINE void over_channels(const float* const* planes, int count, const float* factors, long at, long stride,
                          Vec (&mean)[R][C], Vec (&most)[R][C]) {
    for (int i = 0; i < count; i++) {
        const Vec factor = all(factors ? factors[i] : 1.0f);
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++) {
                const Vec value = factor * load(planes[i] + at + r * stride + c * LANES);
                mean[r][c] = i ? mean[r][c] + value : value;
                most[r][c] = i ? maximum(most[r][c], value) : value;
            }
    }
    const float share = 1.0f / count;
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) mean[r][c] *= share;
}

// Both as planes; out[0] or out[1] may be missing.
inline void channels(const Op& op, int top, int bottom) {
    sweep(top, bottom, 0, op.width, [&](auto rows, auto columns, int y, int x) INLINE_LAMBDA {
        constexpr int R = rows.value, C = columns.value;
        const long at = long(y) * op.stride + x;
        Vec mean[R][C]{}, most[R][C]{};
        over_channels(op.in, op.inputs, op.gate, at, op.stride, mean, most);
        for (int r = 0; r < R; r++)
            for (int c = 0; c < C; c++) {
                const long here = at + r * op.stride + c * LANES;
                if (op.out[0]) store(op.out[0] + here, first_lanes(mean[r][c], op.width - x, Vec{}));
                if (op.out[1]) store(op.out[1] + here, first_lanes(most[r][c], op.width - x, Vec{}));
            }
    });
}

// Columns that are attended to at a time, and as many with their neighbours.
constexpr int CHUNK = 256, CHUNK_WIDE = CHUNK + 2 * LINE;

// Mean and maximum over the channels around a chunk of a band.
struct Pair {
    const float* planes[2];  // at the first pixel of the chunk
    long stride;
};

// Rows beyond a band that spatial attention reads, on each side.
INLINE int attention_reach(const Op& op) { return op.side_taps == 9 ? 1 : 3; }

inline size_t attention_bytes(const Op& op) {
    const size_t rows = op.band + 4 + 2 * attention_reach(op);
    return op.mode & ATTEND_CHANNELS ? 2 * rows * CHUNK_WIDE * sizeof(float) : 0;
}

// Makes the pair of a chunk in memory of the thread. Beyond its border lie zeros, or with ATTEND_AXES the
// border repeated, as in planes made by CHANNELS and EXTEND.
inline Pair make_pair(const Op& op, int x0, int x1, int top, int bottom, float* memory) {
    const int reach = attention_reach(op);
    const bool repeat = op.mode & ATTEND_AXES;
    const long plane = long(op.band + 4 + 2 * reach) * CHUNK_WIDE;
    float* start = memory + reach * CHUNK_WIDE + LINE;
    for (int y = top - reach; y < bottom + reach; y++) {
        const int row = !repeat ? y : y < 0 ? 0 : y < op.height ? y : op.height - 1;
        float* to = start + long(y - top) * CHUNK_WIDE;
        for (int x = x0 - LANES; x < x1 + LANES; x += LANES) {
            Vec mean[1][1]{}, most[1][1]{};
            if (x >= 0 && x < op.width)
                over_channels(op.gated, op.outputs, op.gate, long(row) * op.stride + x, op.stride, mean,
                              most);
            store(to + x - x0, mean[0][0]);
            store(to + plane + x - x0, most[0][0]);
        }
        for (float* line : {to, to + plane})
            for (int x = 0; repeat && x < reach; x++) {
                if (x0 == 0) line[-1 - x] = line[0];
                if (x1 == op.width) line[x1 - x0 + x] = line[x1 - x0 - 1];
            }
    }
    return {{start, start + plane}, CHUNK_WIDE};
}

// Four rows of two vectors.
typedef Vec AttentionTile[4][2];

// The `output`-th K x K convolution of the pair to one map; the first tap is at `at`. The weights of a
// kernel column stay in registers while rows pass by.
template <int K>
INLINE void attention_sums(const Op& op, const Pair& pair, int outputs, int output, long at,
                           AttentionTile& sums) {
    constexpr int R = 4, C = 2;
    const float* weights = op.side_weights + outputs + long(output) * 2 * K * K;
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) sums[r][c] = all(op.side_weights[output]);
    for (int i = 0; i < 2; i++, weights += K * K)
        for (int u = 0; u < K; u++) {
            const float* from = pair.planes[i] + at + u;
            Vec column[K];
            for (int v = 0; v < K; v++) column[v] = all(weights[v * K + u]);
#pragma GCC unroll 10
            for (int row = 0; row < R + K - 1; row++)
                for (int c = 0; c < C; c++) {
                    const Vec pixels = load(from + row * pair.stride + c * LANES);
#pragma GCC unroll 10
                    for (int r = 0; r < R; r++)
                        if (row - r >= 0 && row - r < K) sums[r][c] += column[row - r] * pixels;
                }
        }
}

// CBAM: the sigmoid of one convolution.
template <int K>
void spatial_tile(const Op& op, const Pair& pair, int y, int x, float* out) {
    AttentionTile sums;
    attention_sums<K>(op, pair, 1, 0, (y - K / 2) * pair.stride + x - K / 2, sums);
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 2; c++) store(out + r * CHUNK + c * LANES, sigmoid(sums[r][c]));
}

// DSA: the sigmoid of the least squared response of four axes.
inline void directional_tile(const Op& op, const Pair& pair, int y, int x, float* out) {
    AttentionTile least, sums;
    for (int axis = 0; axis < 4; axis++) {
        attention_sums<7>(op, pair, 4, axis, (y - 3) * pair.stride + x - 3, sums);
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 2; c++) {
                const Vec contrast = sums[r][c] * sums[r][c];
                least[r][c] = axis ? minimum(least[r][c], contrast) : contrast;
            }
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 2; c++) store(out + r * CHUNK + c * LANES, sigmoid(least[r][c]));
}

// What attention adds its product to: the shortcut's bias, or the shortcut itself.
INLINE Vec side(const Op& op, int channel_number, long at) {
    if (op.mode & ATTEND_CONV) return all(op.bias[channel_number]);
    if (op.mode & BYTES_IN)
        return channel(load_bytes(op.in[channel_number / PACKED] + at), channel_number % PACKED) *
            op.gate_weights[op.outputs + channel_number];
    return load(op.in[channel_number] + at);
}

// relu(gated * gate * attention(side) + shortcut): the end of a residual block with attention.
inline void attend(const Op& op, int top, int bottom, void* memory) {
    const auto tile = op.mode & ATTEND_AXES ? directional_tile :
        op.side_taps == 9                   ? spatial_tile<3> :
                                              spatial_tile<7>;
    constexpr int ROWS = 4;
    alignas(64) float attention[ROWS * CHUNK];
    for (int x0 = 0; x0 < op.width; x0 += CHUNK) {
        const int x1 = x0 + CHUNK < op.width ? x0 + CHUNK : op.width;
        const long border = op.mode & ATTEND_AXES ? attention_reach(op) * (op.in_stride + 1) : 0;
        const long corner = long(top) * op.in_stride + x0 + border;
        const Pair pair = op.mode & ATTEND_CHANNELS ?
            make_pair(op, x0, x1, top, bottom, static_cast<float*>(memory)) :
            Pair{{op.side[0] + corner, op.side[1] + corner}, op.in_stride};
        for (int y0 = top; y0 < bottom; y0 += ROWS) {
            const int y1 = y0 + ROWS < bottom ? y0 + ROWS : bottom;
            for (int x = x0; x < x1; x += 2 * LANES)  // rows and columns too many are computed and not used
                tile(op, pair, y0 - top, x - x0, attention + x - x0);
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
                                sums[o][r][c] =
                                    side(op, first + (o < count ? o : 0), at + r * op.stride + c * LANES);
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
                                if (op.mode & BYTES_OUT) sums[o][r][c] = value * op.gate_weights[first + o];
                                else store(op.out[first + o] + here, value, op.mode & STREAM);
                            }
                    }
                    for (int r = 0; op.mode & BYTES_OUT && r < R; r++)
                        for (int c = 0; c < C; c++) {
                            const Vec four[PACKED] = {sums[0][r][c], sums[1][r][c], sums[2][r][c],
                                                      sums[3][r][c]};
                            store(op.out[first / PACKED] + at + r * op.stride + c * LANES, pack(four));
                        }
                }
            });
        }
    }
    if (op.mode & STREAM) end_streams();
}
