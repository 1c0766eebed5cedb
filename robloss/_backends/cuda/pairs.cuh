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
// such, at twice the instructions; what is added here makes up for the approximate inverse.
__device__ inline float divide(float a, float b) {
#ifdef __CUDA_ARCH__
    const float inverse = __fdividef(1.0f, b);
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

// k log 2 + log(1 + f), of q + q_lo = 2f/(2 + f)
template <class T>
__device__ inline Pair<T> log_of(T k, T q, T q_lo) {
    using F = Format<T>;
    constexpr T UNIT = T(1) / (typename F::Bits(1) << F::MANTISSA_BITS);
    const T w = q * q;
    T series = F::LOG(F::LOG_LENGTH - 1);
#pragma unroll
    for (int i = F::LOG_LENGTH - 2; i >= 0; --i) series = fma(series, w, F::LOG(i));
    const T log = fma(k, F::LN2 * UNIT, q);
    const T rest = fma(q, w * series, fma(k, F::LN2_LO * UNIT, q_lo));
    return {log, (q - fma(k, -F::LN2 * UNIT, log)) + rest};
}

template <class T>
__device__ inline Pair<T> log1p_of(const Octaves<T>& of) {
    return log_of(of.k, divide(of.f, fma(of.f, T(0.5), T(1))), T(0));
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

// `about` is y + y_lo to 0.025
template <class T>
__device__ inline Power<T> exp_of(T y, T y_lo, T about) {
    using F = Format<T>;
    using Bits = typename F::Bits;
    const T shifted = fma(about, T(1.4426950408889634), F::ROUND);
    const T k = shifted - F::ROUND;
    const T r = fma(-k, F::LN2_LO, fma(-k, F::LN2, y)) + y_lo;
    const T up = from_bits(Bits((to_bits(shifted) + F::BIAS) << F::MANTISSA_BITS));
    T series = F::EXP(F::EXP_LENGTH - 1);
#pragma unroll
    for (int i = F::EXP_LENGTH - 2; i >= 0; --i) series = fma(series, r, F::EXP(i));
    const T curve = fma(r, series, T(0.5));
    return {up, fma(r * r, curve, r)};
}
