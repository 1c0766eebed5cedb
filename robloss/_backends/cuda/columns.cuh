// What a backward pass asks for where x is dense and alpha and scale are numbers, or a number for each
// column: each place along the last axis. There are `lanes` threads, a multiple of the columns, so
// that a thread stays in its column, with its alpha and scale and its sums in float64, and neighbours
// read neighbours. The gradient from above is as in pullback.cuh.

constexpr int AHEAD = 4;  // elements that a thread has on their way at once

__device__ inline Outputs<Real> slopes(Real x, Real alpha, Real scale, const Numbers<Real>& by) {
    if (!(IS_SMOOTH && (WANTED & GRAD_ALPHA) && alpha == Real(2))) {
        return outputs_of<WANTED, MEMBER>(x, by);
    }
    Outputs<Real> out = outputs_of<WANTED & ~GRAD_ALPHA, MEMBER>(x, by);
    const Numbers<Real> beside = numbers_of(below_two<Real>(), scale);
    out.grad_alpha = outputs_of<GRAD_ALPHA, MEMBER>(x, beside).grad_alpha;
    return out;
}

extern "C" __global__ void __launch_bounds__(256)
columns(const Stored* __restrict__ grad, const long long step, const Stored* __restrict__ x,
        const Stored* __restrict__ alphas, const long long step_of_alpha,
        const Stored* __restrict__ scales, const long long step_of_scale,
        Stored* __restrict__ in_x, double* __restrict__ partial, const long long width,
        const long long lanes, const long long size) {
    const long long lane = thread_index();
    if (lane >= lanes) return;
    const long long column = lane % width;
    const Real alpha = Real(alphas[column * step_of_alpha]);
    const Real scale = Real(scales[column * step_of_scale]);
    const Numbers<Real> by = numbers_of(alpha, scale);
    double grad_alpha = 0.0, grad_scale = 0.0;
    for (long long start = lane; start < size; start += AHEAD * lanes) {
        Real residuals[AHEAD], above[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const long long i = start + k * lanes;
            residuals[k] = i < size ? Real(x[i]) : Real(0);
            above[k] = i < size ? Real(grad[i * step]) : Real(0);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) {
            const long long i = start + k * lanes;
            Stored pulled = Stored(0.0f);
            if (above[k] != Real(0)) {
                const Outputs<Real> out = slopes(residuals[k], alpha, scale, by);
                pulled = Stored(above[k] * out.influence);
                if (WANTED & GRAD_ALPHA) grad_alpha += double(above[k]) * double(out.grad_alpha);
                if (WANTED & GRAD_SCALE) grad_scale += double(above[k]) * double(out.grad_scale);
            }
            if ((WANTED & INFLUENCE) && i < size) in_x[i] = pulled;
        }
    }
    if (WANTED & GRAD_ALPHA) partial[lane] = grad_alpha;
    if (WANTED & GRAD_SCALE) partial[(WANTED & GRAD_ALPHA ? lanes : 0) + lane] = grad_scale;
}
