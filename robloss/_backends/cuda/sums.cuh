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
        const Pack<Stored> given = load(x, start, size);
        Pack<Stored> weighing;
        if (weights) weighing = load(weights, start, size);
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            const double weighs = weights ? double(Real(weighing.at[i])) : 1.0;
            // What weighs nothing is left out, whatever its x.
            if (start + i >= size || weighs == 0.0) continue;
            const Outputs<Real> out = outputs_of<WANTED, MEMBER>(Real(given.at[i]), by);
#define ADD(NAME, BIT) \
    if (WANTED & BIT) NAME += weighs * out.NAME;
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
