// Numbers as pairs (value, remainder): logarithm and exponential of one number that lose nothing to
// the size of an exponent. Spelled as in robloss/_kernels/pairs.py, which says why; a name ending in
// _lo is the remainder of the one without. `Format<T>` is written by cuda/__init__.py.

template <class T>
struct Pair {
    T value, lo;
};

__device__ inline int to_bits(float a) { return __float_as_int(a); }
__device__ inline long long to_bits(double a) { return __double_as_longlong(a); }
__device__ inline float from_bits(int a) { return __int_as_float(a); }
__device__ inline double from_bits(long long a) { return __longlong_as_double(a); }

template <class T>
__device__ inline T below_two() {
    return from_bits(typename Format<T>::Bits(to_bits(T(2)) - 1));
}

// a/b where neither b nor its inverse is subnormal. CUDA's own division of float32 looks out for
// such, at thrice the instructions; what is added here makes up for the approximate inverse.
__device__ inline float divide(float a, float b) {
#ifdef __CUDA_ARCH__
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(b));
    const float ratio = a * inverse;
    return fma(fma(-ratio, b, a), inverse, ratio);
#else
    return a / b;
#endif
}
__device__ inline double divide(double a, double b) { return a / b; }

template <class T>
__device__ inline Pair<T> product(T a, T a_lo, T b, T b_lo) {
    const T value = a * b;
    return {value, fma(a_lo, b, fma(a, b_lo, fma(a, b, -value)))};
}

template <class T>
__device__ inline Pair<T> square(T x, T x_lo) {
    const T value = x * x;
    return {value, fma(x + x, x_lo, fma(x, x, -value))};
}

// a + b + lo
template <class T>
__device__ inline Pair<T> total(T a, T b, T lo) {
    const T both = a + b;
    const T back = both - a;
    return {both, ((a - (both - back)) + (b - back)) + lo};
}

// 1 + z = t = 2^k (1 + f), 3/4 <= 1 + f < 3/2, for z >= 0
template <class T>
struct Octaves {
    T k, down, f, t;  // k in units of a mantissa's last bit: no instruction is spent to shift it
};

template <class T>
__device__ inline Octaves<T> octaves(T z) {
    using F = Format<T>;
    using Bits = typename F::Bits;
    constexpr Bits ONE = F::BIAS << F::MANTISSA_BITS;
    const T t = z + T(1);
    const Bits k = (to_bits(t) + (F::LOW_TO_ONE - ONE)) & -(Bits(1) << F::MANTISSA_BITS);
    const T down = from_bits(Bits(ONE - k));
    return {T(k), down, fma(down, z, down - T(1)), t};
}

// (log(1 + f)/q − 1)/q² of w = q², q = 2f/(2 + f)
template <class T>
__device__ inline T log_series(T w) {
    using F = Format<T>;
    T series = F::LOG(F::LOG_LENGTH - 1);
#pragma unroll
    for (int i = F::LOG_LENGTH - 2; i >= 0; --i) series = fma(series, w, F::LOG(i));
    return series;
}

// k log 2 + log(1 + f), of q + q_lo
template <class T>
__device__ inline Pair<T> log_of(T k, T q, T q_lo) {
    using F = Format<T>;
    const T w = q * q;
    const T log = fma(k, F::LN2 * F::UNIT, q);
    const T rest = fma(q, w * log_series(w), fma(k, F::LN2_LO * F::UNIT, q_lo));
    return {log, (q - fma(k, -F::LN2 * F::UNIT, log)) + rest};
}

// log t = k log 2 + rest, and all of it rounded
template <class T>
struct Logarithm {
    T k, rest, whole;
};

template <class T>
__device__ inline Logarithm<T> log1p_of(const Octaves<T>& of) {
    const T q = divide(of.f, fma(of.f, T(0.5), T(1)));
    const T w = q * q;
    const T rest = fma(q, w * log_series(w), q);
    return {of.k, rest, fma(of.k, T(LOG_2 * Format<T>::UNIT), rest)};
}

// of 1 + z + z_lo
template <class T>
__device__ inline Pair<T> careful_log1p_of(const Octaves<T>& of, T z_lo) {
    const T below = fma(of.f, T(0.5), T(1));
    const T inverse = divide(T(1), below);
    const T q = of.f * inverse;
    const T q_lo = (fma(-q, below, of.f) - q * fma(of.f, T(0.5), T(1) - below)) * inverse;
    const T f_lo = fma(of.down, z_lo, of.down - ((of.down - T(1)) + T(1)));
    const T growth = f_lo * fma(q, fma(q, T(0.5), T(-1)), T(1));
    return log_of(of.k, q, q_lo + growth);
}

// e^(y + y_lo) = up (1 + change), up a power of 2
template <class T>
struct Power {
    T up, change;

    __device__ T whole() const { return fma(up, change, up); }
    __device__ T less_one() const { return fma(up, change, up - T(1)); }
};

// 2^n e^r, of the sum that left n in its last bits
template <class T>
__device__ inline Power<T> expanded(T shifted, T r) {
    using F = Format<T>;
    using Bits = typename F::Bits;
    const T up = from_bits(Bits((to_bits(shifted) + F::BIAS) << F::MANTISSA_BITS));
    T series = F::EXP(F::EXP_LENGTH - 1);
#pragma unroll
    for (int i = F::EXP_LENGTH - 2; i >= 0; --i) series = fma(series, r, F::EXP(i));
    const T curve = fma(r, series, T(0.5));
    return {up, fma(r * r, curve, r)};
}

// `about` is y + y_lo to 0.025
template <class T>
__device__ inline Power<T> exp_of(T y, T y_lo, T about) {
    using F = Format<T>;
    const T shifted = fma(about, T(1 / LOG_2), F::ROUND);
    const T n = shifted - F::ROUND;
    return expanded(shifted, fma(-n, F::LN2_LO, fma(-n, F::LN2, y)) + y_lo);
}

// t^(p + p_lo) for |p| <= 5/2. Of the exponent p (k log 2 + rest) whole octaves are taken while they
// are whole: what is left of p k is then rounded once, and below 2, so that no remainder is needed.
template <class T>
__device__ inline Power<T> power_of(const Logarithm<T>& log, T p, T p_lo) {
    using F = Format<T>;
    const T shifted = fma(log.whole, p * T(1 / LOG_2), F::ROUND);
    const T octaves = fma(log.k, p * F::UNIT, F::ROUND - shifted);
    return expanded(shifted, fma(p, log.rest, fma(octaves, T(LOG_2), p_lo * log.whole)));
}
