// ∂ψ/∂α and ∂²ρ/∂α² at scale 1 and an alpha other than 2, of a dense z: what a Newton step needs, and
// to the digits that it needs. Spelled as robloss/_kernels/alpha.py, which says what the names mean.

template <class T>
struct Bends {
    T tilt, bow;
};

template <class T>
__device__ inline Bends<T> bends_of(T z, T alpha) {
    constexpr int LAST = (sizeof(T) == 4 ? 10 : MOMENTS_LENGTH) - 1;
    const T one = T(1), half = T(0.5), two = T(2), d = alpha - two, b = fabs(d);
    const T sign = copysign(one, d), share = alpha / d;
    const T u = z * z / b, t = one + u, log_t = log1p(u), power = exp(half * alpha * log_t);
    const T v = u / t, bent = log_t - v;
    const T lam = half * b * log_t, lam_1 = half * sign * bent, lam_2 = -half / b * (v * v);
    const T e = half * alpha * log_t, e_1 = half * fma(v, -share, log_t);
    const T e_2 = v / d * (half * share * (two - v) - one);
    T third = T(MOMENTS(LAST));
#pragma unroll
    for (int k = LAST - 1; k >= 0; --k) third = fma(third, e, T(MOMENTS(k)));
    T second = half * fma(-e, third, power), first = fma(-e, second, power);
    if (!(e * e < one)) {
        first = (power - one) / e;
        second = (power - first) / e;
        third = (power - two * second) / e;
    }
    const T along = lam * e_1;
    const T inner = fma(second, fma(lam, e_2, two * lam_1 * e_1), lam_2 * first);
    return {half * z * (power / t) * bent, fma(third, along * e_1, inner)};
}

extern "C" __global__ void __launch_bounds__(256)
bends(const Stored* __restrict__ z, const double alpha, Stored* __restrict__ tilt,
      Stored* __restrict__ bow, const long long size) {
    constexpr int SIZE = Pack<Stored>::SIZE;
    const long long start = thread_index() * SIZE;
    if (start >= size) return;
    Real residuals[SIZE];
    unpack(load(z, start, size), residuals);
    Pack<Stored> tilts, bows;
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        const Bends<Real> of = bends_of(residuals[i], Real(alpha));
        tilts.at[i] = Stored(of.tilt);
        bows.at[i] = Stored(of.bow);
    }
    store(tilt, start, size, tilts);
    store(bow, start, size, bows);
}
