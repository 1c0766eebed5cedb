// What a backward pass asks for where x is dense and one alpha and one scale lie on the device: the
// gradient in x, and each block's partial sum, in float64, of those in alpha and scale. The gradient
// from above is dense too, or one number for all, and then `step` is 0. What it makes 0 is left out,
// whatever x: slopes of huge residuals may be infinite.

template <int SIZE>
__device__ inline void slopes(const Real (&x)[SIZE], const Numbers<Real>* derived,
                              Outputs<Real> (&out)[SIZE]) {
    if (!(IS_SMOOTH && (WANTED & GRAD_ALPHA) && derived->alpha == 2.0)) {
        outputs_of<WANTED, MEMBER>(x, *derived, out);
        return;
    }
    outputs_of<WANTED & ~GRAD_ALPHA, POWER>(x, derived[0], out);
    Outputs<Real> beside[SIZE];
    outputs_of<GRAD_ALPHA, POWER>(x, derived[1], beside);  // of the next smaller alpha
#pragma unroll
    for (int i = 0; i < SIZE; ++i) out[i].grad_alpha = beside[i].grad_alpha;
}

extern "C" __global__ void __launch_bounds__(THREADS)
pullback(const Stored* __restrict__ grad, const long long step, const Stored* __restrict__ x,
         const Numbers<Real>* __restrict__ derived, Stored* __restrict__ in_x,
         double* __restrict__ partial, const long long size) {
    constexpr int SIZE = Pack<Stored>::SIZE;
    double grad_alpha = 0.0, grad_scale = 0.0;
    for (long long start = thread_index() * SIZE; start < size; start += thread_count() * SIZE) {
        // Past the end are zeros, of which all slopes are 0.
        Real residuals[SIZE], above[SIZE];
        unpack(load(x, start, size), residuals);
        if (step) unpack(load(grad, start, size), above);
        Outputs<Real> out[SIZE];
        slopes(residuals, derived, out);
        Pack<Stored> pulled;
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            const Real g = step ? above[i] : Real(*grad);
            const bool counts = g != Real(0);
            const Real in_alpha = counts ? out[i].grad_alpha : Real(0);
            const Real in_scale = counts ? out[i].grad_scale : Real(0);
            pulled.at[i] = Stored(counts ? g * out[i].influence : Real(0));
            if (WANTED & GRAD_ALPHA) grad_alpha += double(g) * double(in_alpha);
            if (WANTED & GRAD_SCALE) grad_scale += double(g) * double(in_scale);
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
