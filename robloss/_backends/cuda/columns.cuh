// A dense x, with an alpha and a scale for each of its columns, or one for all: see lanes.cuh.

// 64 registers leave room for 1024 threads of a multiprocessor: the loss can do with as many.
constexpr int BLOCKS_AT_ONCE = WANTED == LOSS && sizeof(Real) == 4 ? 4 : 1;

extern "C" __global__ void __launch_bounds__(256, BLOCKS_AT_ONCE)
columns(const Stored* __restrict__ x, const Parameters<Stored> of, Stored* __restrict__ loss,
        Stored* __restrict__ influence, Stored* __restrict__ weight,
        Stored* __restrict__ curvature, Stored* __restrict__ grad_alpha,
        Stored* __restrict__ grad_scale, const long long width, const long long all_lanes,
        const long long all) {
    constexpr int SIZE = 16 / sizeof(Real);
    const Place lane = Place(thread_index()), lanes = Place(all_lanes), size = Place(all);
    if (lane >= lanes) return;
    const Numbers<Real> by = numbers_at<MEMBER, Real>(lane % Place(width), of);
    for (Place start = lane; start < size; start += SIZE * lanes) {
        Real residuals[SIZE];
        load_apart(x, start, lanes, size, residuals);
        Outputs<Real> out[SIZE];
        outputs_of<WANTED, MEMBER>(residuals, by, out);
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
            const Place i = start + k * lanes;
            if (i >= size) continue;
#define PUT(NAME, BIT) \
    if (WANTED & BIT) NAME[i] = Stored(out[k].NAME);
            EVERY_OUTPUT(PUT)
#undef PUT
        }
    }
}
