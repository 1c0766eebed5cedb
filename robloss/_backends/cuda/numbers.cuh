// What cuda/parameters.py derives of an alpha and a scale, for those that lie on the device, where no
// host reads them: in pairs of float64, of which the pairs of T are cut.
//
// notation: b = |α − 2|, c = scale

// a/b, where a number and its remainder are exact to 2^-100 and neither overflows
__device__ inline Pair<double> ratio(Pair<double> a, Pair<double> b) {
    const double value = a.value / b.value;
    return {value, (fma(-value, b.value, a.value) + (a.lo - value * b.lo)) / b.value};
}

template <class T>
__device__ inline void cut(Pair<double> of, T& value, T& lo) {
    value = T(of.value);
    lo = value - value == T(0) ? T((of.value - double(value)) + of.lo) : T(0);
}

template <class T>
__device__ inline Derived<T> nowhere() {
    const T none = from_bits(Format<T>::NAN_BITS);
    return {{none, none, none, none, none, none, none, none, none, none, none},
            {none, none, none, none, none}, none, none, none, none, none, none};
}

template <class T>
__device__ inline Derived<T> derived(double alpha, double scale) {
    using F = Format<T>;
    const double most = F::INFINITE, reach = F::EXPONENT, furthest = F::FAR;
    const double room = reach - 2.0 * fabs(log(scale));
    if (alpha != alpha || !(room > 1.0)) return nowhere<T>();
    alpha = fmin(fmax(alpha, -most), most);
    if (fabs(alpha) < double(F::CAUCHY)) alpha = F::CAUCHY;

    const Pair<double> one = {1.0, 0.0}, a = {alpha, 0.0}, c = {scale, 0.0};
    const Pair<double> d = total(alpha, -2.0, 0.0), bend = total(d.value, 1.0, d.lo);
    Pair<double> b = d.value < 0.0 ? Pair<double>{-d.value, -d.lo} : d;
    if (b.value == 0.0) b = {double(F::NORMAL), 0.0};
    const double root = sqrt(b.value);
    const double root_lo = (fma(-root, root, b.value) + b.lo) / (root + root);
    const Pair<double> inverse = ratio(one, c);

    Derived<T> of;
    cut({0.5 * alpha, 0.0}, of.shape.p, of.shape.p_lo);
    cut({0.5 * d.value, 0.5 * d.lo}, of.shape.tilt, of.shape.tilt_lo);
    cut(b, of.shape.b, of.shape.b_lo);
    cut(ratio(b, a), of.shape.outer, of.shape.outer_lo);
    cut(bend, of.shape.bend, of.shape.bend_lo);
    of.shape.room = b.value > double(F::STEEP) ? T(32) : F::EXPONENT;
    cut(inverse, of.width.inverse, of.width.inverse_lo);
    cut(product(inverse.value, inverse.lo, inverse.value, inverse.lo), of.width.weight,
        of.width.weight_lo);
    of.width.room = T(room);
    cut(ratio(one, product(scale, 0.0, root, root_lo)), of.k, of.k_lo);
    cut(ratio(b, c), of.pull, of.pull_lo);
    const double unit = scale * root;  // of x, in which z = x²
    const double steepest = 0.5 * fmax(fabs(alpha), b.value);
    double far = sqrt(expm1(fmin(room / steepest, 2.0 * log(furthest))));
    if (alpha < MODERATE_LOW) far = sqrt(expm1(SATURATED / (-0.5 * alpha)));
    const double least = double(F::LEAST) * fmax(fmax(1.0, scale / b.value), 2.0 / fabs(alpha));
    of.near = T(unit * sqrt(least));
    of.far = T(unit * far);
    return of;
}
