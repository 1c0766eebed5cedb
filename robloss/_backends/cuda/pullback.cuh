// What a backward pass asks for where x is dense and one alpha and one scale lie on the device: the
// gradient in x, and each block's partial sum, in float64, of those in alpha and scale. The gradient
// from above is dense too, or one number for all, and then `step` is 0. What it makes 0 is left out,
// whatever x: slopes of huge residuals may be infinite.

__device__ inline Outputs<Real> slopes(Real x, const Numbers<Real>* derived) {
    if (!(IS_SMOOTH && (WANTED & GRAD_ALPHA) && derived->alpha == 2.0)) {
        return outputs_of<WANTED, MEMBER>(x, *derived);
    }
    Outputs<Real> out = outputs_of<WANTED & ~GRAD_ALPHA, MEMBER>(x, *derived);
    out.grad_alpha = outputs_of<GRAD_ALPHA, MEMBER>(x, derived[1]).grad_alpha;  // of the next smaller
    return out;
}

extern "C" __global__ void __launch_bounds__(THREADS)
pullback(const Stored* __restrict__ grad, const long long step, const Stored* __restrict__ x,
         const Numbers<Real>* __restrict__ derived, Stored* __restrict__ in_x,
         double* __restrict__ partial, const long long size) {
    constexpr int SIZE = Pack<Stored>::SIZE;
    double grad_alpha = 0.0, grad_scale = 0.0;
    for (long long start = thread_index() * SIZE; start < size; start += thread_count() * SIZE) {
        const Pack<Stored> given = load(x, start, size);
        Pack<Stored> above, pulled;
        if (step) above = load(grad, start, size);
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            const Real g = Real(step ? above.at[i] : *grad);
            pulled.at[i] = Stored(0.0f);
            if (start + i >= size || g == Real(0)) continue;
            const Real residual = Real(given.at[i]);
            const Outputs<Real> out = slopes(residual, derived);
            pulled.at[i] = Stored(g * out.influence);
            if (WANTED & GRAD_ALPHA) grad_alpha += double(g) * double(out.grad_alpha);
            if (WANTED & GRAD_SCALE) grad_scale += double(g) * double(out.grad_scale);
        }
        if (WANTED & INFLUENCE) store(in_x, start, size, pulled);
    }
    if (WANTED & GRAD_ALPHA) {
        const double sum = summed_by_block(grad_alpha);
        if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    }
    if (WANTED & GRAD_SCALE) {
        const double sum = summed_by_block(grad_scale);
        const long long row = WANTED & GRAD_ALPHA ? gridDim.x : 0;
        if (threadIdx.x == 0) partial[row + blockIdx.x] = sum;
    }
}
