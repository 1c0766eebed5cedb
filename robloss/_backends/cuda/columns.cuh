// A dense x, with an alpha and a scale for each of its columns, or one for all: see lanes.cuh.

constexpr int SIZE = 16 / sizeof(Real);

template <int MEMBER>
__device__ inline void compute(const Batch<Real, SIZE>& x, const Numbers<Real>& by,
                               Outputs<Real>* out) {
    bool good[SIZE], all_good = true;
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        good[k] = of_numbers<WANTED, MEMBER>(x.at[k], by, out[k]);
        all_good = all_good && good[k];
    }
    if (all_good) return;
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        if (!good[k]) out[k] = exactly<WANTED, Real>(x.at[k], by.alpha, by.scale);
    }
}

// Of 64 registers there is room for 1024 threads; this takes it to that without a cost in the loop.
constexpr int BLOCKS_AT_ONCE = WANTED == LOSS && sizeof(Real) == 4 ? 4 : 1;

extern "C" __global__ void __launch_bounds__(256, BLOCKS_AT_ONCE)
columns(const Stored* __restrict__ x, const Parameters<Stored> of, Stored* __restrict__ loss,
        Stored* __restrict__ influence, Stored* __restrict__ weight,
        Stored* __restrict__ curvature, Stored* __restrict__ grad_alpha,
        Stored* __restrict__ grad_scale, const long long width, const long long lanes,
        const long long size) {
    const long long lane = thread_index();
    if (lane >= lanes) return;
    const Numbers<Real> by = numbers_of<MEMBER, Real>(of, lane % width);
    const bool moderate = is_moderate<MEMBER>(by);
    for (long long start = lane; start < size; start += SIZE * lanes) {
        const auto given = load_apart<Real, SIZE>(x, start, lanes, size);
        Outputs<Real> out[SIZE];
        if (moderate) {
            compute<POWER>(given, by, out);
        } else {
            compute<STEEP_POWER>(given, by, out);
        }
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
            const long long i = start + k * lanes;
            if (i >= size) continue;
#define PUT(NAME, BIT) \
    if (WANTED & BIT) NAME[i] = Stored(out[k].NAME);
            EVERY_OUTPUT(PUT)
#undef PUT
        }
    }
}
