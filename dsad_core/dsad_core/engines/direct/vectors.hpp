// Vectors of the target the file is compiled for, by the compiler's own vector types.
#pragma once
#include <cstdint>

#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

#if defined(__AVX512F__)
constexpr int LANES = 16, TILE = 4;  // 32 registers: 4 channels x 4 vectors of sums and room for the inputs
#elif defined(__AVX2__)
constexpr int LANES = 8, TILE = 2;  // 16 registers
#elif defined(__aarch64__)
constexpr int LANES = 4, TILE = 4;  // 32 registers
#else
constexpr int LANES = 4, TILE = 2;
#endif

constexpr int LINE = 16;  // floats in a cache line

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef float LooseVec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t LooseInts __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

INLINE Vec load(const float* at) { return *reinterpret_cast<const LooseVec*>(at); }
INLINE Ints load(const int32_t* at) { return *reinterpret_cast<const LooseInts*>(at); }
INLINE void store(float* at, Vec value) { *reinterpret_cast<LooseVec*>(at) = value; }
// Where `stream`, past the caches: lines that are overwritten whole are not read first. `at` is aligned, and
// other threads see what was stored only after end_streams().
INLINE void store(float* at, Vec value, bool stream) {
#if defined(__AVX512F__)
    if (stream) return __builtin_ia32_movntps512(at, value);
#elif defined(__AVX__)
    if (stream) return __builtin_ia32_movntps256(at, value);
#endif
    store(at, value);
}
INLINE void end_streams() {
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

INLINE Vec all(float value) { return value - Vec{}; }
INLINE Vec maximum(Vec a, Vec b) { return a > b ? a : b; }
INLINE Vec minimum(Vec a, Vec b) { return a < b ? a : b; }
INLINE Vec relu(Vec a) { return maximum(a, Vec{}); }

INLINE Ints lane_numbers() {
    Ints lanes{};
    for (int i = 0; i < LANES; i++) lanes[i] = i;
    return lanes;
}

// The first `count` lanes of `value`, `other` in the rest.
INLINE Vec first_lanes(Vec value, int count, Vec other) {
    return lane_numbers() < (Ints{} + count) ? value : other;
}

// e^a for |a| <= 87, relative error 2e-7: 2^n times the Taylor series on [-ln2/2, ln2/2].
INLINE Vec exponential(Vec a) {
    const Vec shift = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    Vec n = (a * 1.44269504f + shift) - shift;
    Vec r = a - n * 0.693359375f + n * 2.12194440e-4f;
    Vec p = all(1.9875691e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    Ints exponent = (__builtin_convertvector(n, Ints) + 127) << 23;
    return p * reinterpret_cast<Vec>(exponent);
}

INLINE Vec sigmoid(Vec a) {
    a = maximum(all(-87.0f), a > 87.0f ? all(87.0f) : a);
    return 1.0f / (1.0f + exponential(-a));
}
