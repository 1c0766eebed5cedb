// Sums of the operations, weighted or not, over a dense array with numbers for alpha and scale. Each
// block leaves a partial sum of each, in float64; how many blocks there are decides in which order
// is added up, and so the last digits: they are as many on every card.

extern "C" __global__ void __launch_bounds__(THREADS)
sums(const Stored* __restrict__ x, const Stored* __restrict__ weights, const Numbers<Real> by,
     double* __restrict__ partial, const long long size) {
    constexpr int SIZE = Pack<Stored>::SIZE;
    double loss = 0.0, influence = 0.0, weight = 0.0;
    double curvature = 0.0, grad_alpha = 0.0, grad_scale = 0.0;
    for (long long start = thread_index() * SIZE; start < size; start += thread_count() * SIZE) {
        Real residuals[SIZE], weighing[SIZE];
        unpack(load(x, start, size), residuals);
        if (weights) unpack(load(weights, start, size), weighing);
        Outputs<Real> out[SIZE];
        outputs_of<WANTED, MEMBER>(residuals, by, out);
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            const double weighs = start + i >= size ? 0.0 : weights ? double(weighing[i]) : 1.0;
            // What weighs nothing is left out, whatever its x.
#define ADD(NAME, BIT) \
    if (WANTED & BIT) NAME += weighs * double(weighs == 0.0 ? Real(0) : out[i].NAME);
            EVERY_OUTPUT(ADD)
#undef ADD
        }
    }
    int row = 0;
#define PUT(NAME, BIT)                                                                         \
    if (WANTED & BIT) {                                                                        \
        const double sum = summed_by_block(NAME);                                              \
        if (threadIdx.x == 0) partial[(long long)(row) * gridDim.x + blockIdx.x] = sum;        \
        ++row;                                                                                 \
    }
    EVERY_OUTPUT(PUT)
#undef PUT
}
