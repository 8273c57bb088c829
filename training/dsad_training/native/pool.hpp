// Maximum over 2x2 pixels of planes, and its gradient, which goes to the first pixel that has the maximum.
#pragma once
#include "planes.hpp"

inline void pool2(const float* in, float* out, int count, int height, int width, int threads) {
    parallel(threads, count, [&](int n) {
        for (int y = 0; y < height / 2; y++) {
            const float *top = in + (long(n) * height + 2 * y) * width, *bottom = top + width;
            float* to = out + (long(n) * (height / 2) + y) * (width / 2);
            for (int x = 0; x < width / 2; x++) {
                const float a = std::max(top[2 * x], top[2 * x + 1]),
                            b = std::max(bottom[2 * x], bottom[2 * x + 1]);
                to[x] = std::max(a, b);
            }
        }
    });
}

inline void pool2_backward(const float* in, const float* gradient, float* to, int count, int height,
                           int width, int threads) {
    parallel(threads, count, [&](int n) {
        for (int y = 0; y < height / 2; y++) {
            const long at = (long(n) * height + 2 * y) * width;
            const float *top = in + at, *bottom = top + width;
            const float* slope = gradient + (long(n) * (height / 2) + y) * (width / 2);
            float *above = to + at, *below = above + width;
            for (int x = 0; x < width / 2; x++) {
                const float a = top[2 * x], b = top[2 * x + 1], c = bottom[2 * x], d = bottom[2 * x + 1];
                const float most = std::max(std::max(a, b), std::max(c, d)), s = slope[x];
                const bool first = a == most, second = !first & (b == most);
                const bool third = !first & !second & (c == most), fourth = !first & !second & !third;
                above[2 * x] = first ? s : 0, above[2 * x + 1] = second ? s : 0;
                below[2 * x] = third ? s : 0, below[2 * x + 1] = fourth ? s : 0;
            }
        }
    });
}
