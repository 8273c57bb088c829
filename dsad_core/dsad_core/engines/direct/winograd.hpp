// 3x3 convolutions with half the multiplications: Winograd's F(4, 3) down the columns, taps along the rows.
//
// Four rows of outputs need six rows of inputs. Both sides of a column's convolution are polynomials; they
// are evaluated at six points, multiplied there, and the product is interpolated. All of that works on whole
// rows, so planes stay as they are. The points 0, +-NEAR, +-FAR and infinity lose half a bit more than
// summing directly.
#pragma once
#include "convolution.hpp"

constexpr int STRIP = 4, POINTS = STRIP + 2;  // rows of outputs, and of inputs and products
constexpr float NEAR = 0.625f, FAR = 1.5f;    // as in parameters.py; squares and products of these are exact
constexpr int SPAN = 256, WIDE = SPAN + 2 * LINE;  // columns at a time, and with their neighbours
constexpr int RING = 8;                            // rows of a sampled plane that are kept
alignas(64) constexpr float NOTHING[WIDE] = {};    // a row outside the map

// A plane that is made by sampling another one, row by row as the strips need them.
struct Sampled {
    const Sampling* sampling;
    const float* plane;
    int source_rows[2];  // that `lines` hold
    int next;            // the next row to be made
    float lines[2][WIDE], rows[RING][WIDE];
};

// The inputs of a band, SPAN columns of four rows after the other, in memory of one thread.
class Strips {
public:
    Strips(const Op& op, void* memory) : op_(op) {
        transformed_ = static_cast<float*>(memory);
        sampled_ = reinterpret_cast<Sampled*>(transformed_ + long(POINTS) * op.inputs * WIDE);
        rows_ = reinterpret_cast<const float**>(sampled_ + sampled_inputs(op));
    }

    static size_t bytes(const Op& op) {
        return POINTS * size_t(op.inputs) * (WIDE * sizeof(float) + sizeof(float*)) +
            sampled_inputs(op) * sizeof(Sampled);
    }

    void start(int x, int top) {
        x_ = x;
        count_ = op_.width - x < SPAN ? op_.width - x : SPAN;
        first_ = x ? -LANES : 0;
        last_ = (count_ + LANES - 1) / LANES * LANES + (x + count_ < op_.width ? LANES : 0);
        int sampled = 0;
        for (int i = 0; i < op_.inputs; i++)
            if (op_.sampling && op_.sampling[i]) {
                Sampled& plane = sampled_[sampled++];
                plane.sampling = op_.sampling[i], plane.plane = op_.in[i];
                plane.source_rows[0] = plane.source_rows[1] = -1;
                plane.next = top ? top - 1 : 0;
            }
    }

    int count() const { return count_; }

    // Go to the strip that begins at row `y`.
    void load_strip(int y) {
        int sampled = 0;
        for (int i = 0; i < op_.inputs; i++) {
            Sampled* plane = op_.sampling && op_.sampling[i] ? &sampled_[sampled++] : nullptr;
            const int end = y + STRIP < op_.height ? y + STRIP + 1 : op_.height;
            for (; plane && plane->next < end; plane->next++) sample_row(*plane, plane->next);
            for (int p = 0; p < POINTS; p++) {
                const int row = y - 1 + p;
                row_list(p)[i] = row < 0 || row >= op_.height ? NOTHING + LINE :
                    plane                                     ? plane->rows[row % RING] + LINE :
                                                                op_.in[i] + long(row) * op_.stride + x_;
            }
            transform(i);
        }
    }

    // Of all inputs, row `point` - 1 of the strip; column `x` is at [x].
    const float** row_list(int point) const { return rows_ + long(point) * op_.inputs; }

    // The values of the first input at a point; those of the next ones follow after POINTS * WIDE.
    const float* at_point(int point) const { return transformed_ + point * WIDE + LINE; }

private:
    static int sampled_inputs(const Op& op) {
        int count = 0;
        for (int i = 0; op.sampling && i < op.inputs; i++) count += op.sampling[i] != nullptr;
        return count;
    }

    void transform(int input) {
        const float* row[POINTS];
        for (int p = 0; p < POINTS; p++) row[p] = row_list(p)[input];
        float* to = transformed_ + long(input) * POINTS * WIDE + LINE;
        for (int x = first_; x < last_; x += LANES) {
            Vec d[POINTS];
            for (int p = 0; p < POINTS; p++) d[p] = load(row[p] + x);
            const Vec even_a = d[4] - FAR * FAR * d[2], odd_a = NEAR * (d[3] - FAR * FAR * d[1]);
            const Vec even_b = d[4] - NEAR * NEAR * d[2], odd_b = FAR * (d[3] - NEAR * NEAR * d[1]);
            store(to + x, NEAR * NEAR * FAR * FAR * d[0] - (NEAR * NEAR + FAR * FAR) * d[2] + d[4]);
            store(to + 1 * WIDE + x, even_a + odd_a);
            store(to + 2 * WIDE + x, even_a - odd_a);
            store(to + 3 * WIDE + x, even_b + odd_b);
            store(to + 4 * WIDE + x, even_b - odd_b);
            store(to + 5 * WIDE + x,
                  NEAR * NEAR * FAR * FAR * d[1] - (NEAR * NEAR + FAR * FAR) * d[3] + d[5]);
        }
        for (int p = 0; p < POINTS; p++) {
            if (first_ == 0) to[p * WIDE - 1] = 0;
            if (x_ + count_ == op_.width) to[p * WIDE + count_] = 0;
        }
    }

    void sample_row(Sampled& to, int y) {
        const Sampling& by = *to.sampling;
        auto line = [&](int row) -> const float* {  // source row `row` at the columns of the output
            float* made = to.lines[row & 1] + LINE;
            if (to.source_rows[row & 1] == row) return made;
            to.source_rows[row & 1] = row;
            for (int x = first_; x < last_; x += LANES)
                store(made + x, sample(by, to.plane + long(row) * by.stride, x_ + x));
            return made;
        };
        const int row = by.rows[y];
        const float *above = line(row), *below = line(row + 1 < by.height ? row + 1 : row);
        const Vec share = all(by.row_shares[y]);
        float* made = to.rows[y % RING] + LINE;
        for (int x = first_; x < last_; x += LANES) {
            const Vec a = load(above + x);
            store(made + x, a + share * (load(below + x) - a));
        }
        const int tail = last_ - LANES;
        store(made + tail, first_lanes(load(made + tail), op_.width - x_ - tail, Vec{}));
    }

    const Op& op_;
    float* transformed_;
    Sampled* sampled_;
    const float** rows_;
    int x_ = 0, count_ = 0, first_ = 0, last_ = 0;
};

// N blocks of four outputs at C vectors of a strip; `x` is a column of the span, `at` its place in the
// planes.
template <int N, int C>
INLINE void winograd_tile(const Op& op, const Strips& strips, float* partial, int first, int rows, int x,
                          long at, int left) {
    const long block = long(POINTS) * op.inputs * 3 * 4;
    const float* weights = op.weights + first / 4 * block;
    Vec products[POINTS][N * 4][C];
    for (int p = 0; p < POINTS; p++) {
        Vec sums[N][4][C]{};
        const float* from = strips.at_point(p) + x;
        for (int i = 0; i < op.inputs; i++, from += POINTS * WIDE)
            for (int t = 0; t < 3; t++, weights += 4) {
                Vec pixels[C];
                for (int c = 0; c < C; c++) pixels[c] = load(from + t - 1 + c * LANES);
                for (int n = 0; n < N; n++)
                    for (int o = 0; o < 4; o++) {
                        const Vec weight = all(weights[n * block + o]);
                        for (int c = 0; c < C; c++) sums[n][o][c] += weight * pixels[c];
                    }
            }
        for (int n = 0; n < N; n++)
            for (int o = 0; o < 4; o++)
                for (int c = 0; c < C; c++) products[p][n * 4 + o][c] = sums[n][o][c];
    }
    for (int o = 0; o < N * 4 && first + o < op.outputs; o++) {
        Vec values[STRIP][C];
        const Vec bias = all(op.bias[first + o]);
        for (int c = 0; c < C; c++) {
            const Vec sum_a = products[1][o][c] + products[2][o][c],
                      sum_b = products[3][o][c] + products[4][o][c];
            const Vec difference_a = products[1][o][c] - products[2][o][c];
            const Vec difference_b = products[3][o][c] - products[4][o][c];
            values[0][c] = bias + products[0][o][c] + sum_a + sum_b;
            values[1][c] = bias + NEAR * difference_a + FAR * difference_b;
            values[2][c] = bias + NEAR * NEAR * sum_a + FAR * FAR * sum_b;
            values[3][c] =
                bias + NEAR * NEAR * NEAR * difference_a + FAR * FAR * FAR * difference_b + products[5][o][c];
        }
        if (rows == STRIP) finish(op, partial, first + o, at, left, STRIP, values);
        else finish(op, partial, first + o, at, left, rows, values);
    }
}

template <int C>
INLINE void winograd_columns(const Op& op, const Strips& strips, float* partial, int rows, int x, long at,
                             int left) {
    constexpr int N = C * 4 <= TILE * 2 ? 2 : 1;  // few columns leave registers for more outputs
    int first = 0;
    for (; first + N * 4 - 4 < op.outputs; first += N * 4)
        winograd_tile<N, C>(op, strips, partial, first, rows, x, at, left);
    if (N > 1 && first < op.outputs) winograd_tile<1, C>(op, strips, partial, first, rows, x, at, left);
    const int32_t here = 0;
    for (int first = 0; first < op.shortcuts; first += 4)
        for (int r = 0; r < rows; r++) {
            Vec sums[4][1][C];
            for (int o = 0; o < 4; o++)
                for (int c = 0; c < C; c++) sums[o][0][c] = all(op.side_weights[first + o]);
            convolve(strips.row_list(r + 1), op.inputs, &here, 1,
                     op.side_weights + padded<4>(op.shortcuts) + long(first) * op.inputs, x, 0, sums, false);
            for (int o = 0; o < 4 && first + o < op.shortcuts; o++)
                for (int c = 0; c < C; c++)
                    store(op.out[op.outputs + first + o] + at + r * op.stride + c * LANES,
                          first_lanes(sums[o][0][c], left - c * LANES, Vec{}), op.mode & STREAM);
        }
}

inline void winograd(const Op& op, int item, int top, int bottom, void* memory) {
    float* partial = start_pooling(op, item);
    Strips strips(op, memory);
    for (int x0 = 0; x0 < op.width; x0 += SPAN) {
        strips.start(x0, top);
        for (int y = top; y < bottom; y += STRIP) {
            strips.load_strip(y);
            const int rows = bottom - y < STRIP ? bottom - y : STRIP;
            auto columns = [&](auto count, int x) INLINE_LAMBDA {
                winograd_columns<count.value>(op, strips, partial, rows, x, long(y) * op.stride + x0 + x,
                                              op.width - x0 - x);
            };
            int x = 0;
            for (; x + (TILE - 1) * LANES < strips.count(); x += TILE * LANES) columns(Count<TILE>{}, x);
            if (TILE > 2)
                for (; x + LANES < strips.count(); x += 2 * LANES) columns(Count<2>{}, x);
            for (; x < strips.count(); x += LANES) columns(Count<1>{}, x);
        }
    }
    if (op.mode & STREAM) end_streams();
}
