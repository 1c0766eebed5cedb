// Arrays that lie dense and alike in memory, with numbers for alpha and scale: 16 bytes of each
// array per thread. To keep the memory busy, as much must be on its way as it moves while one thread
// waits; the more bytes each asks for, the fewer threads that takes. `by` is of no use where `derived`
// is: what `derive` left.

extern "C" __global__ void __launch_bounds__(256)
dense(const Stored* __restrict__ x, const Numbers<Real> by, Stored* __restrict__ loss,
      Stored* __restrict__ influence, Stored* __restrict__ weight,
      Stored* __restrict__ curvature, Stored* __restrict__ grad_alpha,
      Stored* __restrict__ grad_scale, const long long size,
      const Numbers<Real>* __restrict__ derived) {
    constexpr int SIZE = Pack<Stored>::SIZE;
    const long long start = thread_index() * SIZE;
    if (start >= size) return;
    Real residuals[SIZE];
    unpack(load(x, start, size), residuals);
    Outputs<Real> out[SIZE];
    outputs_of<WANTED, MEMBER>(residuals, MEMBER == DERIVED ? *derived : by, out);

    Pack<Stored> pack;
#define PUT(NAME, BIT)                                                          \
    if (WANTED & BIT) {                                                         \
        _Pragma("unroll") for (int i = 0; i < SIZE; ++i) pack.at[i] = Stored(out[i].NAME); \
        store(NAME, start, size, pack);                                         \
    }
    EVERY_OUTPUT(PUT)
#undef PUT
}
