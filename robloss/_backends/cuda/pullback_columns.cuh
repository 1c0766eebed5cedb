// What a backward pass asks for where x is dense, with an alpha and a scale for each of its columns,
// or one for all: see lanes.cuh. Each thread leaves its own sums, in float64. The gradient from above
// is as in pullback.cuh.

constexpr int SIZE = 8 / sizeof(Real);  // of each of two arrays

template <int MEMBER>
__device__ inline Outputs<Real> slopes(Real x, const Numbers<Real>& by) {
    if (!(IS_SMOOTH && (WANTED & GRAD_ALPHA) && by.alpha == 2.0)) {
        return outputs_of<WANTED, MEMBER>(x, by);
    }
    Outputs<Real> out = outputs_of<WANTED & ~GRAD_ALPHA, MEMBER>(x, by);
    const Numbers<Real> beside = steep_numbers(below_two<Real>(), Real(by.scale));
    out.grad_alpha = outputs_of<GRAD_ALPHA, LANES>(x, beside).grad_alpha;
    return out;
}

extern "C" __global__ void __launch_bounds__(256)
pullback_columns(const Stored* __restrict__ grad, const long long step,
                 const Stored* __restrict__ x, const Parameters<Stored> of,
                 Stored* __restrict__ in_x, double* __restrict__ partial, const long long width,
                 const long long lanes, const long long size) {
    const long long lane = thread_index();
    if (lane >= lanes) return;
    const Numbers<Real> by = numbers_of<MEMBER, Real>(of, lane % width);
    const bool moderate = is_moderate<MEMBER>(by);
    double grad_alpha = 0.0, grad_scale = 0.0;
    for (long long start = lane; start < size; start += SIZE * lanes) {
        const auto residuals = load_apart<Real, SIZE>(x, start, lanes, size);
        const auto above = load_apart<Real, SIZE>(grad, start * step, lanes * step, size);
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
            const long long i = start + k * lanes;
            const Real g = above.at[k], residual = residuals.at[k];
            Stored pulled = Stored(0.0f);
            if (i < size && g != Real(0)) {
                const Outputs<Real> out =
                    moderate ? slopes<POWER>(residual, by) : slopes<STEEP_POWER>(residual, by);
                pulled = Stored(g * out.influence);
                if (WANTED & GRAD_ALPHA) grad_alpha += double(g) * double(out.grad_alpha);
                if (WANTED & GRAD_SCALE) grad_scale += double(g) * double(out.grad_scale);
            }
            if ((WANTED & INFLUENCE) && i < size) in_x[i] = pulled;
        }
    }
    if (WANTED & GRAD_ALPHA) partial[lane] = grad_alpha;
    if (WANTED & GRAD_SCALE) partial[(WANTED & GRAD_ALPHA ? lanes : 0) + lane] = grad_scale;
}
