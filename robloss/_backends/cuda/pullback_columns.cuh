// What a backward pass asks for where x is dense, with an alpha and a scale for each of its columns,
// or one for all: see lanes.cuh. Each thread leaves its own sums, in float64. The gradient from above
// is as in pullback.cuh.

template <int SIZE>
__device__ inline void slopes(const Real (&x)[SIZE], const Numbers<Real>& by,
                              Outputs<Real> (&out)[SIZE]) {
    if (!(IS_SMOOTH && (WANTED & GRAD_ALPHA) && by.alpha == 2.0)) {
        outputs_of<WANTED, MEMBER>(x, by, out);
        return;
    }
    outputs_of<WANTED & ~GRAD_ALPHA, LANES>(x, by, out);
    Outputs<Real> beside[SIZE];  // of the next smaller alpha
    outputs_of<GRAD_ALPHA, LANES>(x, numbers_of(below_two<Real>(), Real(by.scale)), beside);
#pragma unroll
    for (int i = 0; i < SIZE; ++i) out[i].grad_alpha = beside[i].grad_alpha;
}

extern "C" __global__ void __launch_bounds__(256)
pullback_columns(const Stored* __restrict__ grad, const long long step,
                 const Stored* __restrict__ x, const Parameters<Stored> of,
                 Stored* __restrict__ in_x, double* __restrict__ partial, const long long width,
                 const long long all_lanes, const long long all) {
    constexpr int SIZE = 8 / sizeof(Real);  // of each of two arrays
    const Place lane = Place(thread_index()), lanes = Place(all_lanes), size = Place(all);
    if (lane >= lanes) return;
    const Numbers<Real> by = numbers_at<MEMBER, Real>(lane % Place(width), of);
    const Real g_of_all = step ? Real(0) : Real(*grad);
    Pulled<WANTED> sums;
    for (Place start = lane; start < size; start += SIZE * lanes) {
        // Past the end are zeros, of which all slopes are 0.
        Real residuals[SIZE], above[SIZE];
        load_apart(x, start, lanes, size, residuals);
        if (step) load_apart(grad, start, lanes, size, above);
        Outputs<Real> out[SIZE];
        slopes(residuals, by, out);
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
            const Place i = start + k * lanes;
            const Real pulled = sums.add(step ? above[k] : g_of_all, out[k]);
            if ((WANTED & INFLUENCE) && i < size) in_x[i] = Stored(pulled);
        }
    }
    if (WANTED & GRAD_ALPHA) partial[lane] = sums.grad_alpha;
    if (WANTED & GRAD_SCALE) partial[(WANTED & GRAD_ALPHA ? all_lanes : 0) + lane] = sums.grad_scale;
}
