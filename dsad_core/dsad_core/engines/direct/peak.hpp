// The most that this CPU multiplies and adds: what the time of a network is held against.
#pragma once
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "vectors.hpp"

// Multiply-adds that do not wait for each other: enough for two pipes of five cycles, few enough for the
// registers.
constexpr int CHAINS = TILE == 4 ? 24 : 12;

// `rounds` times CHAINS vectors of multiply-adds, all in registers; the result keeps the compiler from
// leaving them out.
inline float multiply_add(int rounds) {
    Vec sums[CHAINS];
    for (int i = 0; i < CHAINS; i++) sums[i] = all(float(i));
    float small = 1e-9f;             // changes no sum,
    asm volatile("" : "+m"(small));  // which the compiler must not know
    const Vec factor = all(small);
    for (int round = 0; round < rounds; round++) {
        // In this form NEON, which adds to what it overwrites, need not copy.
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) sums[i] += sums[i] * factor;
        asm volatile("");  // the rounds stay apart
    }
    Vec sum{};
    for (int i = 0; i < CHAINS; i++) sum += sums[i];
    float result = 0;
    for (int lane = 0; lane < LANES; lane++) result += sum[lane];
    return result;
}

// Float operations a second, two for each multiply-add, of `threads` threads at once: the best of some turns
// of a few milliseconds, because other work on the machine takes part of most. 0 where a thread cannot be
// started.
inline double peak_flops(int threads) {
    constexpr int TURNS = 24, ROUNDS = 400000;
    using Clock = std::chrono::steady_clock;
    std::atomic<int> arrived{0};
    std::atomic<bool> given_up{false};
    std::vector<float> results(threads);
    auto meet = [&](int turn) {  // all threads begin a turn at once, and one sees when the last has ended it
        arrived.fetch_add(1);
        while (arrived.load() < turn * threads && !given_up) std::this_thread::yield();
    };
    double best = 0;
    auto work = [&](int thread) {
        multiply_add(ROUNDS);  // clocks change with wide vectors
        for (int turn = 0; turn < TURNS && !given_up; turn++) {
            meet(2 * turn + 1);
            const auto start = Clock::now();
            results[thread] += multiply_add(ROUNDS);
            meet(2 * turn + 2);
            const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
            const double rate = 2.0 * LANES * CHAINS * ROUNDS * threads / seconds;
            if (thread == 0 && rate > best) best = rate;
        }
    };
    std::vector<std::thread> workers;
    try {
        for (int i = 1; i < threads; i++) workers.emplace_back(work, i);
        work(0);
    } catch (...) {  // no more threads
        given_up = true;
    }
    for (auto& worker : workers) worker.join();
    return given_up ? 0 : best;
}
