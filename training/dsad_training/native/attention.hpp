// The two gates of a residual block: by channel (CBAM) and by place (CBAM's, or DSA's least contrast of four
// axes).
#pragma once
#include <cmath>

#include "convolution.hpp"

// CBAM's shared perceptron, without biases: first (hidden, channels), second (channels, hidden).
struct Perceptron {
    const float *first, *second;
    float *first_gradient, *second_gradient;
    int32_t hidden, channels;

    // The hidden numbers of one image's means or maxima.
    void reveal(const float* pooled, float* hidden_numbers) const {
        for (int h = 0; h < hidden; h++) {
            float sum = 0;
            for (int c = 0; c < channels; c++) sum += first[h * channels + c] * pooled[c];
            hidden_numbers[h] = sum > 0 ? sum : 0;
        }
    }

    // gate (channels) = sigmoid of both answers; `both` (2, hidden) is scratch.
    void gate(const float* mean, const float* most, float* both, float* gate) const {
        reveal(mean, both);
        reveal(most, both + hidden);
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int h = 0; h < hidden; h++) sum += second[c * hidden + h] * (both[h] + both[hidden + h]);
            gate[c] = 1.0f / (1.0f + std::exp(-sum));
        }
    }

    // Adds an image's share to the gradients of the weights; `mean_gradient` and `most_gradient` (channels)
    // are set. `slope` (channels): the gradient of the gate. `both` (4, hidden) is scratch.
    void backward(const float* mean, const float* most, const float* gate, const float* slope, float* both,
                  float* mean_gradient, float* most_gradient) const {
        reveal(mean, both);
        reveal(most, both + hidden);
        float* inner = both + 2 * hidden;
        std::memset(inner, 0, 2 * hidden * sizeof(float));
        for (int c = 0; c < channels; c++) {
            const float s = slope[c] * gate[c] * (1 - gate[c]);
            for (int h = 0; h < hidden; h++) {
                second_gradient[c * hidden + h] += s * (both[h] + both[hidden + h]);
                inner[h] += s * second[c * hidden + h];
            }
            mean_gradient[c] = most_gradient[c] = 0;
        }
        for (int h = 0; h < hidden; h++) {
            const float of_mean = both[h] > 0 ? inner[h] : 0, of_most = both[hidden + h] > 0 ? inner[h] : 0;
            for (int c = 0; c < channels; c++) {
                first_gradient[h * channels + c] += of_mean * mean[c] + of_most * most[c];
                mean_gradient[c] += of_mean * first[h * channels + c];
                most_gradient[c] += of_most * first[h * channels + c];
            }
        }
    }
};

// Values of an image's border from its nearest pixels, on a grid of unshared borders.
inline void replicate_border(const Grid& grid, int pad, float* image) {
    const int full = grid.row;
    for (int y = 0; y < grid.height; y++) {
        float* row = image + grid.pixel(0, y);
        for (int x = 1; x <= pad; x++) row[-x] = row[0], row[grid.width - 1 + x] = row[grid.width - 1];
    }
    const float *top = image + grid.pixel(0, 0) - pad, *bottom = image + grid.pixel(0, grid.height - 1) - pad;
    for (int y = 1; y <= pad; y++) {
        std::memcpy(image + grid.pixel(0, -y) - pad, top, full * sizeof(float));
        std::memcpy(image + grid.pixel(0, grid.height - 1 + y) - pad, bottom, full * sizeof(float));
    }
}

// The reverse for gradients: what reached the border is added to the nearest pixels.
inline void fold_border(const Grid& grid, int pad, float* image) {
    float *top = image + grid.pixel(0, 0) - pad, *bottom = image + grid.pixel(0, grid.height - 1) - pad;
    for (int y = 1; y <= pad; y++)
        for (int x = 0; x < grid.row; x++) {
            top[x] += image[grid.pixel(0, -y) - pad + x];
            bottom[x] += image[grid.pixel(0, grid.height - 1 + y) - pad + x];
        }
    for (int y = 0; y < grid.height; y++) {
        float* row = image + grid.pixel(0, y);
        for (int x = 1; x <= pad; x++) row[0] += row[-x], row[grid.width - 1] += row[grid.width - 1 + x];
    }
}

// The same pixels on another grid's image; the target's border stays.
inline void change_grid(const Grid& from, const float* source, const Grid& to, float* target) {
    for (int y = 0; y < from.height; y++)
        copy_row(target + to.pixel(0, y), source + from.pixel(0, y), from.width);
}
