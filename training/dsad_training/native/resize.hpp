// Bilinear resize of planes and its transpose: each output row and column is a short sum of input rows and
// columns.
#pragma once
#include <vector>

#include "planes.hpp"

// For each of `outputs` places along an axis `terms` places of the other side and their shares, term by term.
struct Axis {
    int outputs, terms = 0;
    std::vector<int32_t> from;
    std::vector<float> share;

    // torch's bilinear resize from `inputs` to `outputs` places.
    Axis(int inputs, int outputs, float step, bool align_corners) : outputs(outputs), terms(2) {
        from.resize(2L * outputs), share.resize(2L * outputs);
        const float scale = !align_corners ? step :
            outputs > 1                    ? float(inputs - 1) / float(outputs - 1) :
                                             0.0f;
        for (int o = 0; o < outputs; o++) {
            const float place = align_corners ? scale * o : std::max(0.0f, scale * (o + 0.5f) - 0.5f);
            const int low = std::min(int(place), inputs - 1), high = std::min(low + 1, inputs - 1);
            const float part = std::min(std::max(place - low, 0.0f), 1.0f);
            from[o] = low, from[outputs + o] = high;
            share[o] = 1 - part, share[outputs + o] = part;
        }
    }

    // The transpose of `axis`, whose inputs are `outputs` places.
    Axis(const Axis& axis, int outputs) : outputs(outputs) {
        std::vector<int> count(outputs);
        for (int32_t place : axis.from) count[place]++;
        for (int each : count) terms = std::max(terms, each);
        from.assign(long(terms) * outputs, 0), share.assign(long(terms) * outputs, 0.0f);
        std::fill(count.begin(), count.end(), 0);
        for (int term = 0; term < axis.terms; term++)
            for (int o = 0; o < axis.outputs; o++) {
                const long at = long(term) * axis.outputs + o;
                const int place = axis.from[at];
                const long to = long(count[place]++) * outputs + place;
                from[to] = o, share[to] = axis.share[at];
            }
    }
};

// Planes (count, ., width) to (count, rows.outputs, columns.outputs); `plane` is the size of one input plane.
inline void resize(const Axis& rows, const Axis& columns, const float* in, float* out, int count, long plane,
                   int width, int threads) {
    const int height = rows.outputs, wide = columns.outputs;
    parallel(threads, count, [&](int n) {
        const float* from = in + n * plane;
        float* to = out + long(n) * height * wide;
        std::vector<float> line(width);
        for (int y = 0; y < height; y++, to += wide) {
            float* sum = line.data();
            for (int term = 0; term < rows.terms; term++) {
                const float share = rows.share[long(term) * height + y];
                const float* row = from + long(rows.from[long(term) * height + y]) * width;
                if (!term)
                    for (int x = 0; x < width; x++) sum[x] = share * row[x];
                else if (share != 0)
                    for (int x = 0; x < width; x++) sum[x] += share * row[x];
            }
            for (int term = 0; term < columns.terms; term++) {
                const float* share = columns.share.data() + long(term) * wide;
                const int32_t* places = columns.from.data() + long(term) * wide;
                if (!term)
                    for (int x = 0; x < wide; x++) to[x] = share[x] * sum[places[x]];
                else
                    for (int x = 0; x < wide; x++) to[x] += share[x] * sum[places[x]];
            }
        }
    });
}
