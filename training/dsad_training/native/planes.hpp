// Feature maps in the layout of the training kernels: planes with a border of zeros, on which a convolution
// is a sum of shifted copies, so that vectors run over rows and images alike.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "vectors.hpp"

// Vectors of positions that a tile of a convolution covers, and columns that a tile of a weight gradient
// covers.
#if defined(__AVX512F__)
constexpr int WIDE = 6;
#elif defined(__AVX2__)
constexpr int WIDE = 3;
#else
constexpr int WIDE = 4;
#endif

constexpr long rounded(long value, long step) { return (value + step - 1) / step * step; }

// How the images of a channel lie in its plane. `shared`: a row's right border is the next row's left one,
// and an image's lower border the next image's upper one; it is then always zero.
struct Grid {
    int images, height, width;
    int row;     // from one row to the next
    int image;   // from one image to the next, whole cache lines
    int origin;  // of an image's first pixel
    long lead;   // before the first image: what a kernel reaches back
    long plane;  // from one channel to the next

    Grid(int images, int height, int width, int pad, bool shared)
        : images(images), height(height), width(width) {
        row = width + (shared ? pad : 2 * pad);
        image = int(rounded(long(height + (shared ? pad : 2 * pad)) * row, LINE));
        origin = shared ? 0 : pad * row + pad;
        const long reach = rounded(long(pad) * row + pad, LINE);
        lead = reach;
        plane = lead + body() + reach + WIDE * LANES;
        plane = rounded(plane, LINE);
        if (plane / LINE % 2 == 0) plane += LINE;  // planes must not meet in one set of the cache
    }
    long body() const { return long(images) * image; }
    int vectors() const { return image / LANES; }  // of an image
    long pixel(int n, int y) const { return long(n) * image + origin + long(y) * row; }
};

// Planes of a grid; `at(c)` is the first position of channel c's first image.
struct Planes {
    float* memory;
    const Grid* grid;
    float* at(int channel) const { return memory + channel * grid->plane + grid->lead; }
    // Zeros before and behind the images of `channels` planes, which kernels read.
    void clear_ends(int channels) const {
        const long end = grid->lead + grid->body();
        for (int c = 0; c < channels; c++) {
            float* plane = memory + c * grid->plane;
            std::memset(plane, 0, grid->lead * sizeof(float));
            std::memset(plane + end, 0, (grid->plane - end) * sizeof(float));
        }
    }
};

// Runs f(0) ... f(count - 1) on the threads of torch's pool.
template <class F> void parallel(int threads, int count, F f) {
    if (threads <= 1 || count <= 1) {
        for (int i = 0; i < count; i++) f(i);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < count; i++) f(i);
}

// -1 at the pixels of an image of a shared grid, 0 on its border.
inline void pixel_mask(const Grid& grid, int32_t* mask) {
    std::memset(mask, 0, grid.image * sizeof(int32_t));
    for (int y = 0; y < grid.height; y++)
        for (int x = 0; x < grid.width; x++) mask[grid.pixel(0, y) + x] = -1;
}

INLINE void copy_row(float* to, const float* from, int count) {
    int x = 0;
    for (; x + LANES <= count; x += LANES) store(to + x, load(from + x));
    for (; x < count; x++) to[x] = from[x];
}

// An image's rows, one after the other, into a cleared border.
inline void image_in(const Grid& grid, const float* rows, float* image) {
    std::memset(image, 0, grid.image * sizeof(float));
    for (int y = 0; y < grid.height; y++)
        copy_row(image + grid.pixel(0, y), rows + long(y) * grid.width, grid.width);
}

inline void image_out(const Grid& grid, const float* image, float* rows) {
    for (int y = 0; y < grid.height; y++)
        copy_row(rows + long(y) * grid.width, image + grid.pixel(0, y), grid.width);
}

// (N,C,H,W) into planes, all borders cleared.
inline void copy_in(const Planes& to, int channels, const float* from, int threads) {
    const Grid& grid = *to.grid;
    const long area = long(grid.height) * grid.width;
    to.clear_ends(channels);
    parallel(threads, channels, [&](int c) {
        for (int n = 0; n < grid.images; n++)
            image_in(grid, from + (long(n) * channels + c) * area, to.at(c) + long(n) * grid.image);
    });
}

inline void copy_out(const Planes& from, int channels, float* to, int threads) {
    const Grid& grid = *from.grid;
    const long area = long(grid.height) * grid.width;
    parallel(threads, channels, [&](int c) {
        for (int n = 0; n < grid.images; n++)
            image_out(grid, from.at(c) + long(n) * grid.image, to + (long(n) * channels + c) * area);
    });
}

INLINE float sum_of(Vec value) {
    typedef float Half __attribute__((vector_size(LANES * 2)));
    Half low, high;
    std::memcpy(&low, &value, sizeof low);
    std::memcpy(&high, reinterpret_cast<const char*>(&value) + sizeof low, sizeof high);
    low += high;
    float sum = 0;
    for (int i = 0; i < LANES / 2; i++) sum += low[i];
    return sum;
}

// Memory of one call after another, kept by the thread that calls.
class Workspace {
public:
    float* take(long floats) {
        float* found = next_;
        next_ += rounded(floats, LINE);
        return found;
    }
    // Room for `floats`, whose former content is lost; whether there is memory.
    bool open(long floats) {
        if (floats > size_) {
            std::free(memory_);
            memory_ = static_cast<float*>(std::aligned_alloc(64, rounded(floats, LINE) * sizeof(float)));
            size_ = memory_ ? floats : 0;
        }
        next_ = memory_;
        return memory_;
    }
    ~Workspace() { std::free(memory_); }

private:
    float *memory_ = nullptr, *next_ = nullptr;
    long size_ = 0;
};
