// What stands for CUDA's own words where its source is compiled for the processor.

#include <cmath>
#include <cstring>

#define __device__
#define __global__
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __shared__ static
#define __syncthreads()

using std::copysign, std::exp, std::exp2, std::expm1, std::fabs, std::fma, std::fmax, std::fmin,
    std::frexp, std::ldexp, std::log, std::log1p, std::log2, std::pow, std::rint, std::sqrt;

template <class To, class From>
inline To reinterpreted(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float a) { return reinterpreted<int>(a); }
inline float __int_as_float(int a) { return reinterpreted<float>(a); }
inline long long __double_as_longlong(double a) { return reinterpreted<long long>(a); }
inline double __longlong_as_double(long long a) { return reinterpreted<double>(a); }

using Half = _Float16;

struct Index {
    unsigned x;
};
static Index blockIdx, threadIdx, blockDim, gridDim;

// A kernel's body for each thread, one after the other: enough where they do not wait for others.
template <class Body>
inline void launch(unsigned blocks, unsigned threads, Body body) {
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) body();
    }
}
