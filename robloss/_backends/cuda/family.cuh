// The loss family on one residual: the fast path, in the precision of the data. The mathematics is
// that of robloss/_kernels/family.py. Two of its members are enough here, where a kernel waits for
// memory: `power` where alpha is of moderate size and serves many elements, `steep_power` elsewhere;
// `saturating` saves two fifths of the instructions where only the loss is wanted. What an element
// that is not `served` gets means nothing: `exact` computes it.
//
// notation: c = scale, s = (x/c)², b = |α − 2|, z = s/b, t = 1 + z, p = α/2, P = t^p,
//           W = c²w = t^(p − 1), L = log t

template <class T>
struct Shape {
    T p, p_lo, tilt, tilt_lo;  // tilt = p − 1
    T b, b_lo, outer, outer_lo, bend, bend_lo;  // b/α and α − 1
    T room;  // the largest exponent that is served
};

template <class T>
struct Width {
    T inverse, inverse_lo, weight, weight_lo;  // 1/c and 1/c²
    T room;  // the largest exponent whose exponential may be multiplied with 1/c²
};

// Of an alpha and a scale for many elements: by cuda/parameters.py, or numbers.cuh on the device.
template <class T>
struct Derived {
    Shape<T> shape;
    Width<T> width;
    T k, k_lo, near, far, pull, pull_lo;  // z = (k x)², the |x| that are served, b/c
};

template <class T>
struct Growth {
    T log, t, power, p, tilt;  // L, P
};

template <class T>
struct Parts {
    T loss, power, ratio, pull, pull_lo;  // ρ, W, ψ'/w, −(∂ρ/∂c)/W
    bool loss_served, served, pull_served;
    Growth<T> growth;
};

template <class T>
__device__ inline bool is_between(T ratio, T near, T far) {
    const T size = fabs(ratio);
    return ((size >= near) & (size <= far)) | (ratio == T(0));
}

template <class T>
__device__ inline T bent(T z, T z_lo, T t, const Shape<T>& shape) {
    const T above = fma(shape.bend, z, fma(shape.bend, z_lo, fma(shape.bend_lo, z, T(1))));
    return divide(above, t);
}

template <class T>
__device__ inline Parts<T> power(T x, const Derived<T>& of) {
    const T kx = x * of.k;
    const T kx_lo = fma(x, of.k_lo, fma(x, of.k, -kx));
    const T z = fma(kx, kx, (kx + kx) * kx_lo);
    const Octaves<T> at = octaves(z);
    const Logarithm<T> log = log1p_of(at);
    const Power<T> e = power_of(log, of.shape.p, of.shape.p_lo);
    const Pair<T> pull = product(z, T(0), of.pull, of.pull_lo);
    Parts<T> parts;
    parts.loss = fma(e.less_one(), of.shape.outer, T(0));  // never −0
    parts.power = divide(e.whole(), at.t);
    parts.ratio = bent(z, T(0), at.t, of.shape);
    parts.pull = pull.value;
    parts.pull_lo = pull.lo;
    // Below `near` the pull is subnormal, or E, of which the loss is made where alpha is small.
    parts.served = fabs(x) <= of.far;
    parts.pull_served = (fabs(x) >= of.near) | (x == T(0));
    parts.loss_served = parts.served & parts.pull_served;
    parts.growth = {log.whole, at.t, e.whole(), of.shape.p, of.shape.tilt};
    return parts;
}

// The loss for alpha < −2, which does not change any more beyond `far`: e^E is nothing beside 1.
template <class T>
__device__ inline Parts<T> saturating(T x, const Derived<T>& of) {
    Parts<T> parts = power(fmin(fabs(x), of.far), of);
    // Where all of `of` are NaN nothing is served, not even 0.
    parts.loss_served = (fabs(x) >= of.near) | ((x == T(0)) & (of.far > T(0)));
    return parts;
}

template <class T>
__device__ inline Parts<T> steep_power(T x, const Shape<T>& shape, const Width<T>& width) {
    using F = Format<T>;
    const T ratio = fma(x, width.inverse, x * width.inverse_lo);
    const T ratio_lo = fma(x, width.inverse_lo, fma(x, width.inverse, -ratio));
    const Pair<T> s = square(ratio, ratio_lo);
    const T inverse = divide(T(1), shape.b);
    const T z = s.value * inverse;
    const T z_lo = (fma(-z, shape.b, s.value) + (s.lo - z * shape.b_lo)) * inverse;
    const Octaves<T> at = octaves(z);
    const Pair<T> log = careful_log1p_of(at, z_lo);

    Pair<T> y = product(log.value, log.lo, shape.p, shape.p_lo);
    Parts<T> parts;
    parts.loss_served = is_between(ratio, F::NEAR, F::FAR) & (y.value <= shape.room);
    if (y.value < -F::EXPONENT) y = {-F::EXPONENT, T(0)};
    Power<T> e = exp_of(y.value, y.lo, y.value + y.lo);
    const T change = e.less_one();
    parts.loss = fabs(fma(change, shape.outer, change * shape.outer_lo));
    parts.growth = {log.value + log.lo, at.t, e.whole(), shape.p, shape.tilt};

    y = product(log.value, log.lo, shape.tilt, shape.tilt_lo);
    e = exp_of(y.value, y.lo, y.value + y.lo);
    const T exponent = fabs(y.value);
    const Pair<T> pull = product(s.value, s.lo, width.inverse, width.inverse_lo);
    parts.power = e.whole();
    parts.ratio = bent(z, z_lo, at.t, shape);
    parts.pull = pull.value;
    parts.pull_lo = pull.lo;
    parts.pull_served = (pull.value >= F::LEAST) | (x == T(0));
    parts.served = parts.loss_served & (exponent <= shape.room) & (exponent <= width.room);
    return parts;
}

// --------------------------------------------------------------- alpha and scale per element

template <class T>
__device__ inline Shape<T> shape_of(T alpha) {
    using F = Format<T>;
    alpha = alpha > F::INFINITE ? F::INFINITE : alpha < -F::INFINITE ? -F::INFINITE : alpha;
    if (fabs(alpha) < F::CAUCHY) alpha = F::CAUCHY;
    const Pair<T> d = total(alpha, T(-2), T(0));
    const Pair<T> bend = total(d.value, T(1), d.lo);
    T b = fabs(d.value);
    const T b_lo = d.value < T(0) ? -d.lo : d.lo;
    if (b < F::NORMAL) b = F::NORMAL;
    const T half = T(0.5);
    const T room = b > F::STEEP ? T(32) : F::EXPONENT;
    return {half * alpha, T(0), half * d.value, half * d.lo, b, b_lo,
            b / alpha, T(0), bend.value, bend.lo, room};
}

template <class T>
__device__ inline Width<T> width_of(T scale) {
    using F = Format<T>;
    using Bits = typename F::Bits;
    T inverse = T(1) / scale;
    const T inverse_lo = fma(-inverse, scale, T(1)) * inverse;
    const Pair<T> weight = product(inverse, inverse_lo, inverse, inverse_lo);
    const Bits biased = to_bits(scale) >> F::MANTISSA_BITS;
    const T octave = from_bits(Bits(biased | F::INTEGER)) - F::INTEGER_BIAS;
    const T taken = fabs(octave) * T(1.3862943611198906) + T(1.4);  // >= 2 |log c|
    const T room = F::EXPONENT - taken;
    if (!(room > T(1) && scale > T(0))) inverse = from_bits(F::NAN_BITS);
    return {inverse, inverse_lo, weight.value, weight.lo, room};
}
