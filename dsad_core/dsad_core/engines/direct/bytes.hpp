// 3x3 convolutions on 8-bit integers. A plane of bytes holds four channels, one pixel in 32 bits: 16 pixels a
// vector, and one instruction multiplies 64 numbers by the four weights of an output and adds them up by
// pixel.
//
// Numbers are unsigned, 0 at zero, since a ReLU is before them; each channel has its own step, which the
// weights and factors hold.
#pragma once
#include <algorithm>

#include "convolution.hpp"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

constexpr int PACKED = 4;     // channels in a plane of bytes
constexpr int MIDDLE = 127;   // what both shares of a sampled column add up to
constexpr int BYTE_RING = 8;  // rows of a sampled plane that are kept

INLINE Ints load_bytes(const float* at) { return load(reinterpret_cast<const int32_t*>(at)); }

// A channel of 32-bit pixels as floats.
INLINE Vec channel(Ints pixels, int number) {
    return __builtin_convertvector((pixels >> 8 * number) & 255, Vec);
}

// Four channels, in steps of a byte, as pixels: rounded, and cut to a byte.
INLINE Vec pack(const Vec (&channels)[PACKED]) {
    const Vec shift = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the lowest bits
    Ints pixels{};
    for (int c = 0; c < PACKED; c++) {
        const Vec value = minimum(relu(channels[c]), all(255.0f)) + shift;
        pixels |= (reinterpret_cast<Ints>(value) & 255) << 8 * c;
    }
    return reinterpret_cast<Vec>(pixels);
}

// Planes of bytes as planes of floats.
inline void floats(const Op& op, int top, int bottom) {
    for (int i = 0; i < op.outputs; i++)
        for (int y = top; y < bottom; y++)
            for (int x = 0; x < op.width; x += LANES) {
                const long at = long(y) * op.stride + x;
                store(op.out[i] + at, channel(load_bytes(op.in[i / PACKED] + at), i % PACKED) * op.bias[i]);
            }
}

// Maximum of 2x2 pixels, channel by channel.
inline void pool_bytes(const Op& op, int top, int bottom) {
    typedef uint8_t Bytes __attribute__((vector_size(LANES * 4)));
    const auto most = [](Ints a, Ints b) INLINE_LAMBDA {
        const Bytes x = reinterpret_cast<Bytes>(a), y = reinterpret_cast<Bytes>(b);
        return reinterpret_cast<Ints>(x > y ? x : y);
    };
    const Ints even = lane_numbers() * 2;
    for (int i = 0; i < op.outputs; i++)
        for (int y = top; y < bottom; y++)
            for (int x = 0; x < op.width; x += LANES) {
                const float* from = op.in[i] + long(y) * 2 * op.in_stride + 2 * x;
                const Ints a = most(load_bytes(from), load_bytes(from + op.in_stride));
                const Ints b = most(load_bytes(from + LANES), load_bytes(from + op.in_stride + LANES));
                const Ints value = most(__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, even + 1));
                store(op.out[i] + long(y) * op.stride + x,
                      first_lanes(reinterpret_cast<Vec>(value), op.width - x, Vec{}));
            }
}

#if defined(__AVX512F__)
#pragma GCC push_options
#pragma GCC target("avx512vnni,avx512bw")

// The inputs of a band, four rows after the other, in memory of one thread.
class ByteStrips {
public:
    static constexpr int STRIP = 4, ROWS = STRIP + 2;

    ByteStrips(const Op& op, int top, void* memory) : op_(op), wide_(wide(op)) {
        inputs_ = static_cast<Input*>(memory);
        rows_ = reinterpret_cast<const int32_t**>(inputs_ + op.inputs);
        char* next = static_cast<char*>(memory) + lists(op);
        nothing_ = take(next);
        for (int i = 0; i < op.inputs; i++) {
            Input& input = inputs_[i];
            input.by = op.sampling ? op.sampling[i] : nullptr;
            input.plane = reinterpret_cast<const int32_t*>(op.in[i]);
            input.next = top ? top - 1 : 0;
            input.held[0] = input.held[1] = -1;
            if (!input.by) continue;
            for (auto& line : input.lines) line = reinterpret_cast<int16_t*>(next), next += wide_ * 8;
            for (auto& row : input.ring) row = take(next);
        }
    }

    static size_t bytes(const Op& op) {
        const size_t row = (wide(op) + 2 * LINE) * 4, sampled = 2 * wide(op) * 8 + BYTE_RING * row;
        return lists(op) + row + op.inputs * (op.sampling ? sampled : 0);
    }

    // Go to the strip that begins at row `y`.
    INLINE void load_strip(int y) {
        const int end = y + STRIP < op_.height ? y + STRIP + 1 : op_.height;
        for (int i = 0; i < op_.inputs; i++) {
            Input& input = inputs_[i];
            for (; input.by && input.next < end; input.next++) sample_row(input, input.next);
            for (int p = 0; p < ROWS; p++) {
                const int row = y - 1 + p;
                rows_[i * ROWS + p] = row < 0 || row >= op_.height ? nothing_ :
                    input.by                                       ? input.ring[row % BYTE_RING] :
                                                                     input.plane + long(row) * op_.stride;
            }
        }
    }

    // Of an input, the rows from the one above the strip to the one below.
    const int32_t* const* rows(int input) const { return rows_ + input * ROWS; }

private:
    struct Input {
        const Sampling* by;  // nullptr: as it is
        const int32_t* plane;
        int held[2], next;  // source rows in `lines`; the next row to be made
        int16_t* lines[2];  // source rows at the columns of the output, times MIDDLE
        int32_t* ring[BYTE_RING];
    };

    static long wide(const Op& op) { return (op.width + LINE - 1) / LINE * LINE; }

    static size_t lists(const Op& op) {
        return (op.inputs * (sizeof(Input) + ROWS * sizeof(void*)) + 63) / 64 * 64;
    }

    // A row between zeros.
    int32_t* take(char*& next) const {
        int32_t* row = reinterpret_cast<int32_t*>(next) + LINE;
        next += (wide_ + 2 * LINE) * 4;
        std::fill(row - LINE, row + wide_ + LINE, 0);
        return row;
    }

    INLINE void sample_line(Input& input, int row) {
        const Sampling& by = *input.by;
        int16_t* to = input.lines[row & 1];
        input.held[row & 1] = row;
        const int32_t* source = input.plane + long(row) * by.stride;
        for (int x = 0; x < op_.width; x += LANES) {
            const int start = by.columns[x];
            const __m512i index = (__m512i)(load(by.columns + x) - start);
            const int32_t* from = source + start;
            const __m512i a =
                _mm512_permutex2var_epi32(_mm512_loadu_si512(from), index, _mm512_loadu_si512(from + LANES));
            const __m512i b = _mm512_permutex2var_epi32(_mm512_loadu_si512(from + 1), index,
                                                        _mm512_loadu_si512(from + LANES + 1));
            const int8_t* shares = by.pairs + x * 8;
            _mm512_storeu_si512(to + x * 4,
                                _mm512_maddubs_epi16(_mm512_unpacklo_epi8(a, b), _mm512_loadu_si512(shares)));
            _mm512_storeu_si512(
                to + x * 4 + 32,
                _mm512_maddubs_epi16(_mm512_unpackhi_epi8(a, b), _mm512_loadu_si512(shares + 64)));
        }
    }

    INLINE void sample_row(Input& input, int y) {
        const Sampling& by = *input.by;
        const int row = by.rows[y], below = row + 1 < by.height ? row + 1 : row;
        for (int each : {row, below})
            if (input.held[each & 1] != each) sample_line(input, each);
        const int16_t *a = input.lines[row & 1], *b = input.lines[below & 1];
        const __m512i share = _mm512_set1_epi16(int16_t(by.row_shares[y] * 32767 + 0.5f));
        const __m512i over_middle = _mm512_set1_epi16((32768 + MIDDLE / 2) / MIDDLE);
        int32_t* made = input.ring[y % BYTE_RING];
        for (int x = 0; x < op_.width; x += LANES) {
            __m512i halves[2];
            for (int h = 0; h < 2; h++) {
                const __m512i above = _mm512_loadu_si512(a + x * 4 + h * 32);
                const __m512i difference = _mm512_sub_epi16(_mm512_loadu_si512(b + x * 4 + h * 32), above);
                const __m512i value = _mm512_add_epi16(above, _mm512_mulhrs_epi16(difference, share));
                halves[h] = _mm512_mulhrs_epi16(value, over_middle);
            }
            const Vec pixels = (Vec)_mm512_packus_epi16(halves[0], halves[1]);
            store(reinterpret_cast<float*>(made + x), first_lanes(pixels, op_.width - x, Vec{}));
        }
    }

    const Op& op_;
    const long wide_;
    Input* inputs_;
    const int32_t** rows_;
    const int32_t* nothing_;
};

// Four outputs at a vector of four rows. `weights` are [input][column][row][output], four channels in each.
template <int COLUMNS>
INLINE const int32_t* dot(const ByteStrips& strips, int inputs, const int32_t* weights, int x,
                          __m512i (&sums)[4][4]) {
    constexpr int REACH = COLUMNS / 2, SIDE = 2 * REACH + 1;
    for (int i = 0; i < inputs; i++) {
        const int32_t* const* rows = strips.rows(i);
#pragma GCC unroll 3
        for (int u = -REACH; u <= REACH; u++, weights += SIDE * 4) {
            __m512i held[SIDE * 4];
#pragma GCC unroll 12
            for (int w = 0; w < SIDE * 4; w++) held[w] = _mm512_set1_epi32(weights[w]);
#pragma GCC unroll 6
            for (int p = 1 - REACH; p < 5 + REACH; p++) {
                const __m512i pixels = _mm512_loadu_si512(rows[p] + x + u);
#pragma GCC unroll 3
                for (int v = 0; v < SIDE; v++) {
                    const int r = p - 1 + REACH - v;
                    if (r < 0 || r > 3) continue;
#pragma GCC unroll 4
                    for (int o = 0; o < 4; o++)
                        sums[r][o] = _mm512_dpbusd_epi32(sums[r][o], pixels, held[v * 4 + o]);
                }
            }
        }
    }
    return weights;
}

// `bias` holds a factor for each output, then what is added; `side_weights` the same of the shortcut.
template <bool PACK> void conv_bytes_as(const Op& op, int item, int top, int bottom, void* memory) {
    float* partial = start_pooling(op, item);
    ByteStrips strips(op, top, memory);
    const int blocks = PACK ? op.outputs : op.outputs / 4;
    for (int y = top; y < bottom; y += 4) {
        const int rows = bottom - y < 4 ? bottom - y : 4;
        strips.load_strip(y);
        for (int x = 0; x < op.width; x += LANES) {
            const long at = long(y) * op.stride + x;
            const int left = op.width - x;
            const int32_t* weights = reinterpret_cast<const int32_t*>(op.weights);
            for (int b = 0; b < blocks; b++) {
                const float *factors = op.bias + b * 4, *added = factors + blocks * 4;
                __m512i sums[4][4]{};
                weights = dot<3>(strips, op.inputs, weights, x, sums);
                const auto value = [&](int r, int o) INLINE_LAMBDA {
                    return __builtin_convertvector((Ints)sums[r][o], Vec) * factors[o] + added[o];
                };
                if (PACK)
                    for (int r = 0; r < rows; r++) {
                        const Vec four[PACKED] = {value(r, 0), value(r, 1), value(r, 2), value(r, 3)};
                        store(op.out[b] + at + r * op.stride, first_lanes(pack(four), left, Vec{}));
                    }
                else
                    for (int o = 0; o < 4; o++) {
                        Vec values[4][1] = {{value(0, o)}, {value(1, o)}, {value(2, o)}, {value(3, o)}};
                        if (rows == 4) finish(op, partial, b * 4 + o, at, left, 4, values);
                        else finish(op, partial, b * 4 + o, at, left, rows, values);
                    }
            }
            for (int first = 0; first < op.shortcuts; first += 4) {
                const float *factors = op.side_weights + first, *added = factors + op.shortcuts;
                __m512i sums[4][4]{};
                weights = dot<1>(strips, op.inputs, weights, x, sums);
                for (int o = 0; o < 4; o++)
                    for (int r = 0; r < rows; r++) {
                        const Vec value =
                            __builtin_convertvector((Ints)sums[r][o], Vec) * factors[o] + added[o];
                        store(op.out[op.outputs + first + o] + at + r * op.stride,
                              first_lanes(value, left, Vec{}), op.mode & STREAM);
                    }
            }
        }
    }
    if (op.mode & STREAM) end_streams();
}

inline void conv_bytes(const Op& op, int item, int top, int bottom, void* memory) {
    if (op.mode & BYTES_OUT) conv_bytes_as<true>(op, item, top, bottom, memory);
    else conv_bytes_as<false>(op, item, top, bottom, memory);
}

#pragma GCC pop_options

inline bool has_bytes() { return __builtin_cpu_supports("avx512vnni"); }
inline size_t bytes_scratch(const Op& op) { return ByteStrips::bytes(op); }
#else
// The plan refuses such a program where has_bytes() says no.
inline void conv_bytes(const Op&, int, int, int, void*) {}
inline bool has_bytes() { return false; }
inline size_t bytes_scratch(const Op&) { return 0; }
#endif
