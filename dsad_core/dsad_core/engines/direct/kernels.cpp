// A program of operators, run by a small pool of threads. Built once for each instruction set that
// is worth it (setup.py); plain C interface, used by library.py.
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "operators.hpp"
#include "peak.hpp"

namespace {

constexpr int VERSION = 6;   // of this interface; library.py refuses another
constexpr int SPINS = 1000;  // some 20 us: longer than an operator's tail, too short to starve others

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");  // takes about as long as the pause of x86; "yield" takes no time on most cores
#endif
}

// While one lives, its thread takes numbers below 1e-38 for zero: a processor is a hundred times slower on
// them.
class NoDenormals {
public:
#if defined(__x86_64__)
    NoDenormals() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(before_ | 0x8040); }
    ~NoDenormals() { __builtin_ia32_ldmxcsr(before_); }

private:
    const unsigned before_;
#elif defined(__aarch64__)
    NoDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | 1 << 24));
    }
    ~NoDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

private:
    uint64_t before_;
#endif
};

// Memory of one thread, on cache lines.
class Scratch {
public:
    bool reserve(size_t bytes) {
        if (bytes <= bytes_) return true;
        bytes = (bytes + 63) / 64 * 64;
        memory_.reset(std::aligned_alloc(64, bytes));
        bytes_ = memory_ ? bytes : 0;
        return bytes_;
    }
    void* memory() const { return memory_.get(); }

private:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<void, Free> memory_;
    size_t bytes_ = 0;
};

// Every thread takes items of the current operator, from the front or from the back, so that it meets the
// rows it wrote before in its own cache; whoever ends the last item opens the next operator. Nobody waits
// for a thread that the system has not scheduled, unless it holds an item.
class Pool {
public:
    void start(int threads) {
        scratch_.resize(threads);
        for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { serve(i); });
    }

    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (auto& worker : workers_) worker.join();
    }

    // False if there is no memory for what the operators need beside their planes.
    bool run(const Op* ops, int count, const Frame& frame) {
        if (!count) return true;
        for (auto& scratch : scratch_)
            for (int i = 0; i < count; i++)
                if (!scratch.reserve(scratch_bytes(ops[i]))) return false;
        const NoDenormals in_the_callers_thread;
        ops_ = ops, count_ = count, current_ = 0, frame_ = frame;
        finished_.store(false, std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            open();
        }
        if (!workers_.empty()) wake_.notify_all();
        for (int idle = 0; !finished_.load(std::memory_order_acquire);) {
            if (step(0)) idle = 0;
            else if (++idle < SPINS) relax();
            else std::this_thread::yield();
        }
        return true;
    }

private:
    // Ticket: number of the operator since the start (32 bits), end and begin of the items left (16 each).
    static uint64_t end(uint64_t ticket) { return ticket >> 16 & 0xffff; }
    static uint64_t begin(uint64_t ticket) { return ticket & 0xffff; }

    void open() {
        const uint64_t number = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
        const uint64_t count = current_ < count_ ? ops_[current_].items : 0;
        done_.store(0, std::memory_order_relaxed);
        ticket_.store(number << 32 | count << 16, std::memory_order_release);
    }

    bool step(int thread) {
        const bool from_back = thread % 2;
        uint64_t ticket = ticket_.load(std::memory_order_acquire);
        if (begin(ticket) == end(ticket)) return false;
        const uint64_t left = from_back ? ticket - (1 << 16) : ticket + 1;
        if (!ticket_.compare_exchange_weak(ticket, left, std::memory_order_acq_rel)) return true;
        const Op& op = ops_[current_];
        run_item(op, frame_, int(from_back ? end(left) : begin(ticket)), scratch_[thread].memory());
        if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == uint64_t(op.items)) {
            if (op.partial) gate_channels(op);
            current_++;
            const bool last = current_ == count_;
            open();
            if (last) finished_.store(true, std::memory_order_release);
        }
        return true;
    }

    void serve(int thread) {
        const NoDenormals always;
        for (int idle = 0; !stop_.load(std::memory_order_relaxed);) {
            if (step(thread)) idle = 0;
            else if (++idle < SPINS) relax();
            else if (!finished_.load(std::memory_order_acquire)) std::this_thread::yield();
            else {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [this] { return stop_ || !finished_; });
                idle = 0;
            }
        }
    }

    std::vector<Scratch> scratch_;  // one a thread
    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<bool> stop_{false}, finished_{true};
    alignas(64) std::atomic<uint64_t> ticket_{0};
    alignas(64) std::atomic<uint64_t> done_{0};
    const Op* ops_ = nullptr;
    int count_ = 0, current_ = 0;
    Frame frame_{};
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int direct_version() { return VERSION; }
EXPORT int direct_op_bytes() { return sizeof(Op); }
EXPORT int direct_sampling_bytes() { return sizeof(Sampling); }
EXPORT int direct_lanes() { return LANES; }
EXPORT int direct_bytes() { return has_bytes(); }  // it runs programs on bytes here

EXPORT void* direct_open(int threads) {
    try {
        auto pool = std::make_unique<Pool>();
        pool->start(threads);
        return pool.release();
    } catch (...) {  // no memory, no more threads
        return nullptr;
    }
}

// 0, or 1 if there is no memory.
EXPORT int direct_run(void* pool, const Op* ops, int count, const float* image, float* logits) {
    return !static_cast<Pool*>(pool)->run(ops, count, Frame{image, logits});
}

// Float operations a second of so many threads, measured; 0 if they cannot be started.
EXPORT double direct_peak(int threads) {
    try {
        return peak_flops(threads);
    } catch (...) {  // no memory
        return 0;
    }
}

EXPORT void direct_close(void* pool) { delete static_cast<Pool*>(pool); }
