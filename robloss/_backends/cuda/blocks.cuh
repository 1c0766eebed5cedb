// Sums over the threads of a block.

constexpr int THREADS = 256;

__device__ inline double summed_by_block(double term) {
    __shared__ double terms[THREADS];
    terms[threadIdx.x] = term;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) terms[threadIdx.x] += terms[threadIdx.x + half];
    }
    __syncthreads();
    const double sum = terms[0];
    __syncthreads();  // before the next call writes
    return sum;
}
