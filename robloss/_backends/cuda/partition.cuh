// log Z of every alpha, or a derivative of it: the Chebyshev series of its piece, in float64 whatever
// the dtype. Spelled as robloss/_kernels/partition.py; the table is written by cuda/__init__.py.
//
// notation: v = the variable of the piece, x = v mapped on [-1, 1]

__device__ inline double series_of(double alpha) {
    int piece = 0;
    for (int i = 1; i < PIECES; ++i) piece += alpha >= STARTS[i];
    const double d = alpha - 2.0;
    const double v = alpha < 1.0 ? alpha : alpha < 4.0 ? log2(fabs(d)) : 1.0 / d;
    const double x = (v - MIDDLE[piece]) / HALF[piece];
    const int first = piece * TERMS;
    double one = 0.0, two = 0.0;
    for (int k = TERMS - 1; k > 0; --k) {
        const double next = 2.0 * x * one - two + COEFFICIENTS[first + k];
        two = one;
        one = next;
    }
    return x * one - two + COEFFICIENTS[first];
}

__device__ inline double log_partition(double alpha) {
    if (!(alpha >= 0.0)) return exact::nan();
    if (alpha == 2.0) {
        constexpr double LOG_PARTITION_AT_2 = 0.9189385332046728;  // log(2π)/2
        return ORDER == 0 ? LOG_PARTITION_AT_2 : ORDER == 1 ? -exact::infinity() : exact::nan();
    }
    const double value = series_of(alpha), inverse = 1.0 / fabs(alpha - 2.0);
    const bool is_large = alpha >= 4.0;
    if (ORDER == 1 && is_large) return -(value * inverse) * inverse;
    if (ORDER == 2 && is_large) return value * inverse * inverse * inverse;
    return ORDER == 2 && alpha >= 1.0 ? value * inverse : value;
}

extern "C" __global__ void __launch_bounds__(256)
partition(const Stored* __restrict__ alpha, const long long step, Stored* __restrict__ to,
          const long long size) {
    for (long long i = thread_index(); i < size; i += thread_count()) {
        to[i] = Stored(Real(log_partition(double(Real(alpha[i * step])))));
    }
}
