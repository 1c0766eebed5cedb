// ∂ρ/∂α; the mathematics, and why it is written so, is in robloss/_kernels/shape.py.
//
// notation: E = p L, P = e^E, Λ = |p − 1| L, k(y) = (y − 1 + e^(−y))/y², q(y) = 1 − y k(y)

template <class T>
__device__ inline T bounded(T y) {
    using F = Format<T>;
    return fmin(fmax(y, -F::REACH), F::REACH) - F::CENTER;
}

// ½ L² P (k(E) − k(L)) for α < 0
template <class T>
__device__ inline T redescending(const Growth<T>& g, T e, T k_e, T k_log) {
    const T reach = Format<T>::REACH, one = T(1);
    const T drop = g.log > reach ? one - (one - one / g.t) / g.log : g.log * k_log;
    const T first = e < -reach ? (one + (e - one) * g.power) / (g.p * g.p)
                               : g.power * g.log * (g.log * k_e);
    return T(0.5) * (first - g.power * g.log * drop);
}

// ½ b (L k(E) − q(E) + e^(−min(E, L)) q(Λ)) · ½ L P for α >= 0; or L (k(L) − k(E)) · ½ L P
template <class T>
__device__ inline T rising(const Growth<T>& g, T e, T lam, T k_e, T k_to, bool between) {
    const T reach = Format<T>::REACH, one = T(1);
    const T inverse = one / g.power, over = one / g.t;
    const T q_e = e > reach ? (one - inverse) / e : one - e * k_e;
    if (e > reach) k_e = (one - q_e) / e;
    const bool below = g.p < one;
    const T decay = below ? g.power * over : inverse * g.t;  // e^(−Λ)
    const T q_lam = lam > reach ? (one - decay) / lam : one - lam * k_to;
    const T bracket = g.log * k_e - q_e + (below ? inverse : over) * q_lam;
    const T factor = between ? g.log * (k_to - k_e) : fabs(g.tilt) * bracket;
    return ((T(0.5) * g.log) * factor) * g.power;
}

// ½ |p − 1| L³ P (k(E) − k(L))/(L − E), where neither exponent is large
template <class T>
__device__ inline T near_slope(const Growth<T>& g) {
    using F = Format<T>;
    const T at = g.log * g.p - F::CENTER, to = g.log - F::CENTER;
    // Horner's scheme for k(E) goes through the coefficients of (k(·) − k(E))/(· − E).
    T k_e = F::K(F::K_LENGTH - 1), over = T(0);
#pragma unroll
    for (int i = F::K_LENGTH - 2; i >= 0; --i) {
        over = fma(over, to, k_e);
        if (i > 0) k_e = fma(k_e, at, F::K(i));
    }
    return ((T(-0.5) * over) * g.power) * g.log * g.log * (fabs(g.tilt) * g.log);
}

template <class T>
__device__ inline bool is_far(const Growth<T>& g) {
    return (g.log > Format<T>::REACH) | (fabs(g.log * g.p) > Format<T>::REACH);
}

// Where no exponent is small: ½ ((b/α) P L − (4 − α²)/α² (P − 1) + 1 − W), of which little
// cancels as it is arranged here.
template <class T>
__device__ inline bool is_plain(const Growth<T>& g) {
    const T least = fmin(g.log, fabs(g.log * g.p));
    return (least >= T(1)) & ((g.p < T(0)) | (g.tilt * g.log <= T(-1)));
}

template <class T>
__device__ inline T plain_slope(const Growth<T>& g) {
    const T one = T(1), inverse = divide(one, g.p);
    const T change = g.power - one, w = divide(g.power, g.t), bulk = g.log * g.power;
    const T falling = fma(g.p, bulk, -change) * inverse * inverse - (bulk - g.power);
    const T growing = -g.tilt * inverse * fma(-fma(g.p, inverse, inverse), change, bulk) + one;
    return T(0.5) * ((g.p < T(0) ? falling : growing) - w);
}

template <class T>
__device__ inline T k_of(T y) {
    using F = Format<T>;
    y = bounded(y);
    T k = F::K(F::K_LENGTH - 1);
#pragma unroll
    for (int i = F::K_LENGTH - 2; i >= 0; --i) k = fma(k, y, F::K(i));
    return k;
}

// All others. Not inlined: they are few, and the rest is faster without these branches.
template <class T>
__device__ __noinline__ T far_slope(T log, T t, T power, T p, T tilt) {
    const Growth<T> g = {log, t, power, p, tilt};
    const T e = g.log * g.p, lam = fabs(g.tilt) * g.log;
    if (g.p < T(0)) return redescending(g, e, k_of(e), k_of(g.log));
    const bool between = g.p > T(1) && g.log < T(1.5);
    return rising(g, e, lam, k_of(e), k_of(between ? g.log : lam), between);
}

// Whether a value is good as far as what it is made of is.
template <class T>
__device__ inline bool is_good(T slope, const Growth<T>& g) {
    using F = Format<T>;
    return ((slope >= F::LEAST) | (g.log == T(0))) & (fabs(g.p) < T(0.5) * F::INFINITE);
}
