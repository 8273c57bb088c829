// BatchNorm over planes, in training by the batch's statistics.
#pragma once
#include <cmath>

#include "planes.hpp"

// One BatchNorm's parameters, statistics and, for the backward pass, where its gradients go.
struct Norm {
    const float *scale, *shift;
    float *running_mean, *running_variance;
    float *scale_gradient, *shift_gradient;
    float eps, momentum;
};

// value = factor * y + offset; the deviation's inverse and the mean for the backward pass.
struct Affine {
    float factor, offset, mean, inverse;
};

// Unlike relu(), this lets what is not a number through, so that a training that diverged shows it.
INLINE Vec rectified(Vec a) { return a < Vec{} ? Vec{} : a; }

INLINE Affine affine_of(const Norm& norm, int c, float mean, float variance) {
    const float inverse = 1.0f / std::sqrt(variance + norm.eps), factor = norm.scale[c] * inverse;
    return {factor, norm.shift[c] - mean * factor, mean, inverse};
}

INLINE Affine known_affine(const Norm& norm, int c) {
    return affine_of(norm, c, norm.running_mean[c], norm.running_variance[c]);
}

// The batch's statistics of channel c from two passes, the second around the mean; updates the running ones.
inline Affine batch_affine(const Norm& norm, int c, const float* plane, const Grid& grid, const Ints* mask) {
    const double count = double(grid.images) * grid.height * grid.width;
    double sum = 0, squares = 0;
    for (int n = 0; n < grid.images; n++) {
        Vec total{};
        for (int v = 0; v < grid.vectors(); v++) {
            const Vec y = load(plane + long(n) * grid.image + v * LANES);
            total += mask[v] ? y : Vec{};
        }
        sum += sum_of(total);
    }
    const float mean = float(sum / count);
    for (int n = 0; n < grid.images; n++) {
        Vec total{};
        for (int v = 0; v < grid.vectors(); v++) {
            Vec y = load(plane + long(n) * grid.image + v * LANES) - mean;
            y = mask[v] ? y : Vec{};
            total += y * y;
        }
        squares += sum_of(total);
    }
    const double variance = squares / count;
    norm.running_mean[c] += norm.momentum * (mean - norm.running_mean[c]);
    norm.running_variance[c] += norm.momentum * (float(squares / (count - 1)) - norm.running_variance[c]);
    return affine_of(norm, c, mean, float(variance));
}

// In place: the gradient of the output of channel c, zero on borders, becomes that of the input. Returns its
// sum.
inline float norm_backward(const Norm& norm, int c, const Affine& affine, const float* plane, float* gradient,
                           const Grid& grid, const Ints* mask) {
    const double count = double(grid.images) * grid.height * grid.width;
    double sum = 0, along = 0;
    for (int n = 0; n < grid.images; n++) {
        Vec total{}, product{};
        for (int v = 0; v < grid.vectors(); v++) {
            const long at = long(n) * grid.image + v * LANES;
            const Vec g = load(gradient + at);
            total += g;
            product += g * (load(plane + at) - affine.mean);
        }
        sum += sum_of(total), along += sum_of(product);
    }
    along *= affine.inverse;
    norm.shift_gradient[c] = float(sum);
    norm.scale_gradient[c] = float(along);
    const float mean = float(sum / count), slope = float(along / count) * affine.inverse;
    double left = 0;
    for (int n = 0; n < grid.images; n++) {
        Vec total{};
        for (int v = 0; v < grid.vectors(); v++) {
            const long at = long(n) * grid.image + v * LANES;
            Vec d = affine.factor * (load(gradient + at) - mean - slope * (load(plane + at) - affine.mean));
            d = mask[v] ? d : Vec{};
            store(gradient + at, d);
            total += d;
        }
        left += sum_of(total);
    }
    return float(left);
}
