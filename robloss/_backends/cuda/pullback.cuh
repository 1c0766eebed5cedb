// What a backward pass asks for where x is dense and one alpha and one scale lie on the device: the
// gradient in x, and each block's partial sum of those in alpha and scale. The gradient from above is
// dense too, or one number for all, and then `step` is 0.

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
    Pulled<WANTED> sums;
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
            pulled.at[i] = Stored(sums.add(step ? above[i] : Real(*grad), out[i]));
        }
        if (WANTED & INFLUENCE) store(in_x, start, size, pulled);
    }
    if (WANTED & GRAD_ALPHA) {
        const double sum = summed_by_block(sums.grad_alpha);
        if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    }
    if (WANTED & GRAD_SCALE) {
        const double sum = summed_by_block(sums.grad_scale);
        const long long row = WANTED & GRAD_ALPHA ? gridDim.x : 0;
        if (threadIdx.x == 0) partial[row + blockIdx.x] = sum;
    }
}
