// Convolutions over planes: forward, and with turned weights the gradient of the input; the gradient of the
// weights.
#pragma once
#include <cstdint>

#include "planes.hpp"

constexpr int BLOCK = 4;  // outputs of a tile

// A kernel's weights in torch's memory: (outputs, inputs, side, side), default layout or channels_last.
struct Kernel {
    const float* weights;
    int outputs, inputs, side;
    bool last;  // channels_last
    long index(int o, int i, int tap) const {
        const long taps = long(side) * side;
        return last ? (o * taps + tap) * inputs + i : (long(o) * inputs + i) * taps + tap;
    }
    int taps() const { return side * side; }
};

inline long packed_floats(int outputs, int inputs, int taps, int block) {
    return rounded(outputs, block) * inputs * taps;
}

// Weights as tiles read them: (block of outputs, input, tap, output in the block). `turned` gives those of
// the gradient of the input: inputs and outputs change places, taps run backwards.
template <int B> void pack(const Kernel& kernel, bool turned, float* to) {
    const int outputs = turned ? kernel.inputs : kernel.outputs,
              inputs = turned ? kernel.outputs : kernel.inputs;
    for (int first = 0; first < outputs; first += B)
        for (int i = 0; i < inputs; i++)
            for (int t = 0; t < kernel.taps(); t++)
                for (int o = first; o < first + B; o++) {
                    const long from =
                        turned ? kernel.index(i, o, kernel.taps() - 1 - t) : kernel.index(o, i, t);
                    *to++ = o < outputs ? kernel.weights[from] : 0.0f;
                }
}

// How far each tap of a centred square kernel lies from its centre.
struct Taps {
    int count;
    int32_t offset[49];
    Taps(const Grid& grid, int side) : count(side * side) {
        for (int t = 0; t < count; t++) offset[t] = (t / side - side / 2) * grid.row + t % side - side / 2;
    }
};

// One sum of a convolution's: planes, their taps and packed weights.
struct Source {
    Planes planes;
    int inputs;
    const Taps* taps;
    const float* weights;
};

// out = bias (or none) + sum of all sources, at all positions of the images; on borders it is not zero but
// meaningless.
struct Convolution {
    const Source* sources;
    int count;
    const float* bias;
    Planes out;
    int outputs;
};

template <int B, int V> INLINE void conv_tile(const Convolution& c, int first, long at) {
    Vec sums[B][V];
    for (int o = 0; o < B; o++)
        for (int v = 0; v < V; v++)
            sums[o][v] = all(c.bias && first + o < c.outputs ? c.bias[first + o] : 0.0f);
    for (int s = 0; s < c.count; s++) {
        const Source& source = c.sources[s];
        const int taps = source.taps->count;
        const float* weights = source.weights + long(first) * source.inputs * taps;
        for (int i = 0; i < source.inputs; i++) {
            const float* plane = source.planes.at(i) + at;
            for (int t = 0; t < taps; t++, weights += B) {
                const float* from = plane + source.taps->offset[t];
                Vec pixels[V];
                for (int v = 0; v < V; v++) pixels[v] = load(from + v * LANES);
                for (int o = 0; o < B; o++) {
                    const Vec weight = all(weights[o]);
                    for (int v = 0; v < V; v++) sums[o][v] += weight * pixels[v];
                }
            }
        }
    }
    for (int o = 0; o < B && first + o < c.outputs; o++) {
        float* to = c.out.at(first + o) + at;
        for (int v = 0; v < V; v++) store(to + v * LANES, sums[o][v]);
    }
}

// Convolutions on one grid, side by side, so that those of the same planes meet them in the nearest cache.
template <int B, int J> void convolve(const Convolution (&jobs)[J], int threads) {
    constexpr int TILES = 8;
    const long vectors = jobs[0].out.grid->body() / LANES;
    const int chunks = int((vectors + WIDE * TILES - 1) / (WIDE * TILES));
    parallel(threads, chunks, [&](int chunk) {
        const long begin = long(chunk) * WIDE * TILES, end = std::min(vectors, begin + WIDE * TILES);
        for (const Convolution& each : jobs) {
            long v = begin;
            for (; v + WIDE <= end; v += WIDE)
                for (int first = 0; first < each.outputs; first += B)
                    conv_tile<B, WIDE>(each, first, v * LANES);
            for (; v < end; v++)
                for (int first = 0; first < each.outputs; first += B) conv_tile<B, 1>(each, first, v * LANES);
        }
    });
}

// sums[o][j] += gradient plane o times column j over positions [from, to).
template <int B, int J>
INLINE void weight_tile(const float* const (&gradients)[B], const float* const (&columns)[J], long from,
                        long to, float* sums) {
    Vec totals[B][J]{};
    for (long p = from; p < to; p += LANES) {
        Vec gradient[B];
        for (int o = 0; o < B; o++) gradient[o] = load(gradients[o] + p);
        for (int j = 0; j < J; j++) {
            const Vec pixels = load(columns[j] + p);
            for (int o = 0; o < B; o++) totals[o][j] += gradient[o] * pixels;
        }
    }
    for (int o = 0; o < B; o++)
        for (int j = 0; j < J; j++) sums[o * J + j] += sum_of(totals[o][j]);
}

template <int B, int J> long weight_sums_floats(int outputs, int inputs, int taps) {
    return rounded(outputs, B) / B * (rounded(long(inputs) * taps, J) / J) * B * J;
}

// to (the kernel's layout) = gradient of its weights, from the gradient of its outputs, which is zero on the
// borders, and its inputs. `sums`: weight_sums_floats of memory.
template <int B, int J>
void weight_gradient(const Planes& gradient, const Planes& in, const Kernel& kernel, const Taps& taps,
                     float* to, float* sums, int threads) {
    constexpr long CHUNK = 2048;
    const Grid& grid = *in.grid;
    const int columns = kernel.inputs * taps.count, groups = (columns + J - 1) / J;
    const int blocks = (kernel.outputs + B - 1) / B, tiles = blocks * groups;
    std::memset(sums, 0, long(tiles) * B * J * sizeof(float));
    const int shares = std::max(1, std::min(threads, tiles));
    parallel(threads, shares, [&](int share) {
        const int begin = long(tiles) * share / shares, end = long(tiles) * (share + 1) / shares;
        for (long from = 0; from < grid.body(); from += CHUNK)
            for (int tile = begin; tile < end; tile++) {
                const float* outs[B];
                const float* ins[J];
                for (int o = 0; o < B; o++)
                    outs[o] = gradient.at(std::min(tile / groups * B + o, kernel.outputs - 1));
                for (int j = 0; j < J; j++) {
                    const int column = std::min(tile % groups * J + j, columns - 1);
                    ins[j] = in.at(column / taps.count) + taps.offset[column % taps.count];
                }
                weight_tile<B, J>(outs, ins, from, std::min(from + CHUNK, grid.body()),
                                  sums + long(tile) * B * J);
            }
    });
    for (int o = 0; o < kernel.outputs; o++)
        for (int column = 0; column < columns; column++) {
            const long tile = o / B * groups + column / J;
            to[kernel.index(o, column / taps.count, column % taps.count)] =
                sums[tile * B * J + o % B * J + column % J];
        }
}
