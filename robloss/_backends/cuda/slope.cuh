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

// The value, and whether it is good as far as what it is made of is.
template <class T>
__device__ inline bool slope(const Growth<T>& g, T& value) {
    using F = Format<T>;
    const T e = g.log * g.p, lam = fabs(g.tilt) * g.log;
    const bool far = fabs(e) > F::REACH || g.log > F::REACH;
    const bool between = g.p > T(1) && g.log < T(1.5);
    const T at = bounded(e);
    const T to = bounded(far && g.p >= T(0) && !between ? lam : g.log);
    // Horner's scheme for k(E) goes through the coefficients of (k(·) − k(E))/(· − E).
    T k_e = F::K(F::K_LENGTH - 1), over = T(0);
#pragma unroll
    for (int i = F::K_LENGTH - 2; i >= 0; --i) {
        over = fma(over, to, k_e);
        k_e = fma(k_e, at, F::K(i));
    }
    const T k_to = fma(to - at, over, k_e);
    if (!far) {
        value = ((T(-0.5) * over) * g.power) * g.log * g.log * lam;
    } else if (g.p < T(0)) {
        value = redescending(g, e, k_e, k_to);
    } else {
        value = rising(g, e, lam, k_e, k_to, between);
    }
    return (value >= F::LEAST || g.log == T(0)) && fabs(g.p) < T(0.5) * F::INFINITE;
}
