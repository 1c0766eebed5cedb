// Every element, in float64, one branch after the other: for those that the fast path does not
// serve. Spelled as robloss/_kernels/exact.py, which says why each step is as it is.
//
// notation: z = x/c, s = z², b = |α − 2|, σ = sign(α − 2), u = s/b, U = 1 + u, L = log U,
//           Λ = (b/2) L, E = (α/2) L, W = e^(σΛ) = c²w, k(y) = (y − 1 + e^(−y))/y²
//           a name ending in _lo is the remainder of the one without

namespace exact {

using Numbers = Format<double>;

__device__ inline double infinity() { return from_bits(Numbers::INFINITY_BITS); }
__device__ inline double nan() { return from_bits(Numbers::NAN_BITS); }
__device__ inline bool is_nan(double a) { return a != a; }
__device__ inline bool is_infinite(double a) { return fabs(a) == infinity(); }

__device__ inline bool illegal(double x, double alpha, double scale) {
    return is_nan(x) || is_nan(alpha) || !(0.0 < scale && scale < infinity());
}

// U = (base (1 + rest) 2^octaves)^twice; u is infinite where it may overflow
struct Base {
    double s, s_lo, b, b_lo, u, log_u, base, rest, twice, octaves;
};

// z = (value + remainder) 2^exponent
struct Quotient {
    double value, lo;
    int exponent;
};

__device__ inline Quotient quotient(double x, double scale) {
    int of_x, of_scale;
    x = frexp(x, &of_x);
    scale = frexp(scale, &of_scale);
    const double z = x / scale;
    return {z, fma(-z, scale, x) / scale, of_x - of_scale};
}

__device__ inline bool is_tame(double z, double scale) {
    return SMALL < fabs(z) && fabs(z) < HUGE_Z && 0x1p-100 < scale && scale < 0x1p100;
}

__device__ inline Pair<double> distance(double alpha) {
    const double d = alpha - 2.0;
    const double b = fabs(d);
    if (b >= WIDE) return {b, 0.0};
    const double back = d - alpha;
    return {b, ((alpha - (d - back)) + (-2.0 - back)) * copysign(1.0, d)};
}

__device__ inline Base near_base(double z, double z_lo, double alpha) {
    const Pair<double> b = distance(alpha);
    const double s = z * z;
    const double s_lo = fabs(z) > SMALL ? fma(z, z, -s) + 2.0 * z * z_lo : 0.0;
    const double u = s / b.value;
    double u_lo = 0.0;
    if (u > SMALL && b.value < WIDE) {
        u_lo = ((fma(-u, b.value, s) + s_lo) - u * b.lo) / b.value;
    }
    const double base = 1.0 + u;
    const double lost = u < 1.0 ? u - (base - 1.0) : 1.0 - (base - u);
    const double log_u = log1p(u) + u_lo / base;
    return {s, s_lo, b.value, b.lo, u, log_u, base, (lost + u_lo) / base, 1.0, 0.0};
}

__device__ inline Base far_base(const Quotient& z, double alpha) {
    const Pair<double> b = distance(alpha);
    const double s = HUGE_Z * HUGE_Z;
    const double root = sqrt(b.value);
    double y = fabs(z.value) / root;
    if (ldexp(y, z.exponent) < FAR_Z) {
        const double size = ldexp(y, z.exponent);
        const double u = size * size;
        return {s, 0.0, b.value, b.lo, u, log1p(u), 1.0 + u, 0.0, 1.0, 0.0};
    }
    double rest = 0.0;
    if (b.value < WIDE) {
        const double root_lo = (fma(-root, root, b.value) + b.lo) / (root + root);
        const double z_lo = copysign(z.lo, z.value * z.lo);
        rest = (fma(-y, root, fabs(z.value)) - y * root_lo + z_lo) / fabs(z.value);
    }
    int of_y;
    y = 2.0 * frexp(y, &of_y);
    const double octaves = double(z.exponent + of_y - 1);
    const double log_u = 2.0 * (log(y) + rest + octaves * LOG_2);
    return {s, 0.0, b.value, b.lo, infinity(), log_u, y, rest, 2.0, octaves};
}

__device__ __noinline__ Base base_of(double x, double alpha, double scale) {
    const double z = x / scale;
    if (is_tame(z, scale)) return near_base(z, fma(-z, scale, x) / scale, alpha);
    const Quotient of = quotient(x, scale);
    if (of.exponent < 400 || of.value == 0.0) {
        return near_base(ldexp(of.value, of.exponent), ldexp(of.lo, of.exponent), alpha);
    }
    return far_base(of, alpha);
}

__device__ inline Pair<double> small_lambda(const Base& of) {
    double series = 0.0;
    for (int m = 6; m >= 2; --m) series = of.u * (2.0 / (m + 1.0) - series);
    const double correction = 0.5 * of.s_lo - (0.25 * of.s * of.u) * (1.0 - series);
    const double half = 0.5 * of.s;
    const double lam = half + correction;
    return {lam, (half - lam) + correction};
}

// A number times 2^octaves.
struct Scaled {
    double value, octaves;
};

// U^exponent (1 + change)
__device__ __noinline__ Scaled power_of(double exponent, double change, const Base& of) {
    exponent *= of.twice;
    change += exponent * of.rest;
    double value = pow(of.base, exponent);
    double octaves = 0.0;
    if (of.octaves != 0.0) {
        const double whole = of.octaves * exponent;
        change += fma(of.octaves, exponent, -whole) * LOG_2;
        octaves = fmin(fmax(rint(whole), -1e5), 1e5);
        value *= exp2(whole - octaves);
    }
    if (value == 0.0 || is_infinite(value)) return {value, octaves};
    return {value + value * (change + 0.5 * change * change), octaves};
}

// W^k
__device__ inline Scaled weight_power(double k, double alpha, const Base& of) {
    if (alpha == 2.0) return {1.0, 0.0};
    if (alpha < 2.0) k = -k;
    if (of.u < SERIES_U) {
        const Pair<double> lam = small_lambda(of);
        const double value = exp(k * lam.value);
        return {is_infinite(value) ? value : value + value * (k * lam.lo), 0.0};
    }
    return power_of(0.5 * k * of.b, 0.5 * k * of.b_lo * of.log_u, of);
}

// e^(kE)
__device__ inline double loss_power(double k, double alpha, const Base& of) {
    if (of.u < SERIES_U) return weight_power(k, alpha, of).value * exp(k * of.log_u);
    const Scaled power = power_of(0.5 * k * alpha, 0.0, of);
    return power.octaves != 0.0 ? ldexp(power.value, int(power.octaves)) : power.value;
}

struct Exponents {
    double log_u, lam, tilt, e;  // L, Λ, σΛ and E
};

__device__ inline Exponents exponents(double alpha, const Base& of) {
    double log_u = of.log_u, e = 0.5 * alpha * log_u, lam;
    if (of.u < SERIES_U) {
        lam = small_lambda(of).value;
        log_u = 2.0 * lam / of.b;
        e = of.b < WIDE ? (alpha / of.b) * lam : copysign(lam, alpha);
    } else if (-4.0 <= alpha && alpha <= 1.0) {
        lam = log_u - e;
    } else {
        lam = 0.5 * of.b * log_u;
    }
    return {log_u, lam, alpha > 2.0 ? lam : -lam, e};
}

// (α − 2) u/(1 + u)
__device__ inline double pull(double alpha, const Base& of) {
    if (alpha == 2.0) return 0.0;
    const double u = of.u;
    const double size = u < 1.0 ? (of.s + of.s_lo) / (1.0 + u) : of.b / (1.0 + 1.0 / u);
    return alpha > 2.0 ? size : -size;
}

// factor W z^of_z / c^of_scale
__device__ __noinline__ double product_of(double x, double alpha, double scale, const Base& of,
                                    double factor, int of_z, int of_scale) {
    const double size = 0.5 * (is_infinite(of.b) ? of.s : of.b * of.log_u);
    const int roots = size < SAFE || of.octaves != 0.0 ? 1 : size < 2.0 * SAFE ? 2 : 4;
    const Scaled root = weight_power(1.0 / roots, alpha, of);
    int exponent, of_divisor;
    const double power = frexp(root.value, &exponent);
    exponent = (exponent + int(root.octaves)) * roots;
    double value = factor;
    for (int i = 0; i < roots; ++i) value *= power;
    const Quotient z = quotient(x, scale);
    for (int i = 0; i < of_z; ++i) {
        value = is_infinite(value) ? value * z.value : value * z.value + value * z.lo;
        exponent += z.exponent;
    }
    scale = frexp(scale, &of_divisor);
    for (int i = 0; i < of_scale; ++i) {
        value /= scale;
        exponent -= of_divisor;
    }
    return ldexp(value, exponent);
}

__device__ inline double at_infinity(double power, double constant) {
    return power < 0.0 ? 0.0 : power == 0.0 ? constant : infinity();
}

// (e^t − 1)/t
__device__ __noinline__ double expm1_ratio(double t) {
    return fabs(t) < TINY ? 1.0 + t * (0.5 + t / 6.0) : expm1(t) / t;
}

// k(y) for y >= −1
__device__ __noinline__ double k_of(double y) {
    if (y >= 1.0) return ((y - 1.0) + exp(-y)) / y / y;
    double term = 0.5, sum = 0.5;
    for (int m = 3; m <= 19; ++m) {
        term *= -y / m;
        sum += term;
    }
    return sum;
}

__device__ inline double yk_of(double y) {
    return y < 1.0 ? y * k_of(y) : (y + expm1(-y)) / y;
}

// ∂ρ/∂α for finite z != 0 and finite α != 2
__device__ __noinline__ double grad_alpha_of(double alpha, const Base& of) {
    const Exponents at = exponents(alpha, of);
    const double log_u = at.log_u, e = at.e;
    if (fabs(e) <= QUADRATURE_REACH && at.lam <= QUADRATURE_REACH) {
        double integral = 0.0;
        for (int i = 0; i < Quadrature::NODES_LENGTH; ++i) {
            const double node = Quadrature::NODES(i);
            const double ratio = expm1_ratio(node * at.tilt);
            integral += Quadrature::WEIGHTS(i) * exp((1.0 - node) * e) * ratio;
        }
        return 0.5 * at.lam * (log_u * log_u * integral);
    }
    if (alpha < 0.0) {
        const double exp_e = exp(e);
        if (e <= -1.0) {
            const double first = ((e - 1.0) * exp_e + 1.0) / e;
            return (0.5 * log_u * first) * (log_u / e) - 0.5 * log_u * exp_e * yk_of(log_u);
        }
        return (0.5 * log_u) * exp_e * (log_u * k_of(e) - yk_of(log_u));
    }
    double factor;
    if (alpha > 2.0 && log_u < 2.0) {
        factor = log_u * (k_of(log_u) - k_of(e));
    } else {
        const double decay = exp(-fmin(e, log_u)) * expm1_ratio(-at.lam);
        factor = 0.5 * fabs(alpha - 2.0) * (log_u * k_of(e) - expm1_ratio(-e) + decay);
    }
    if (e < SAFE) return (0.5 * log_u * loss_power(1.0, alpha, of)) * factor;
    if (e < 2.0 * SAFE) {
        const double half = loss_power(0.5, alpha, of);
        return (0.5 * log_u * half) * (factor * half);
    }
    const double quarter = loss_power(0.25, alpha, of);
    return (0.5 * log_u * quarter * quarter) * (quarter * factor * quarter);
}

// W where it may be multiplied with what is of moderate size, 0 elsewhere.
__device__ inline double moderate_power(double x, double alpha, double scale, const Base& of) {
    if (!is_tame(x / scale, scale)) return 0.0;
    const double power = weight_power(1.0, alpha, of).value;
    return 1e-150 < power && power < 1e150 ? power : 0.0;
}

__device__ inline double loss(double x, double alpha, double scale) {
    if (illegal(x, alpha, scale)) return nan();
    if (is_infinite(x)) {
        if (alpha >= 0.0) return infinity();
        return is_infinite(alpha) ? 1.0 : (alpha - 2.0) / alpha;
    }
    if (alpha == 2.0) return (0.5 * fabs(x / scale)) * fabs(x / scale);
    const Base of = base_of(x, alpha, scale);
    const Exponents at = exponents(alpha, of);
    if (fabs(at.e) < TINY) return at.lam * (1.0 + at.e * (0.5 + at.e / 6.0));
    const double outer = of.b >= WIDE ? copysign(1.0, alpha) : of.b / alpha;
    if (at.e <= 1.0) return outer * expm1(at.e);
    if (at.e < SAFE) return outer * (loss_power(1.0, alpha, of) - 1.0);
    const double half = loss_power(0.5, alpha, of);
    return (outer * half) * half;
}

__device__ inline double influence(double x, double alpha, double scale) {
    if (illegal(x, alpha, scale)) return nan();
    if (is_infinite(x)) return copysign(at_infinity(alpha - 1.0, 1.0 / scale), x);
    if (x == 0.0) return x;
    const Base of = base_of(x, alpha, scale);
    const double power = moderate_power(x, alpha, scale, of), z = x / scale;
    if (power != 0.0) return (z * power + fma(-z, scale, x) / scale * power) / scale;
    return product_of(x, alpha, scale, of, 1.0, 1, 1);
}

__device__ inline double weight(double x, double alpha, double scale) {
    if (illegal(x, alpha, scale)) return nan();
    if (is_infinite(x)) return at_infinity(alpha - 2.0, (1.0 / scale) / scale);
    const Base of = base_of(x, alpha, scale);
    const double power = moderate_power(x, alpha, scale, of);
    if (power != 0.0) return power / (scale * scale);
    return product_of(x, alpha, scale, of, 1.0, 0, 2);
}

__device__ inline double curvature(double x, double alpha, double scale) {
    if (illegal(x, alpha, scale)) return nan();
    if (is_infinite(x)) return at_infinity(alpha - 2.0, (1.0 / scale) / scale);
    const Base of = base_of(x, alpha, scale);
    const double ratio = 1.0 + pull(alpha, of);
    const double power = moderate_power(x, alpha, scale, of);
    if (power != 0.0) return power * ratio / (scale * scale);
    return product_of(x, alpha, scale, of, ratio, 0, 2);
}

__device__ inline double grad_alpha(double x, double alpha, double scale) {
    if (illegal(x, alpha, scale)) return nan();
    if (x == 0.0 || alpha == infinity() || (alpha == -infinity() && !is_infinite(x))) return 0.0;
    if (is_infinite(x)) return alpha < 0.0 ? (1.0 / alpha) * (2.0 / alpha) : infinity();
    if (alpha == 2.0) return infinity();
    return grad_alpha_of(alpha, base_of(x, alpha, scale));
}

__device__ inline double grad_scale(double x, double alpha, double scale) {
    if (illegal(x, alpha, scale)) return nan();
    if (is_infinite(x)) return -at_infinity(alpha, 2.0 / scale);
    const Base of = base_of(x, alpha, scale);
    const double power = moderate_power(x, alpha, scale, of);
    if (power != 0.0 && of.s * power < 1e270) return -(of.s * power + of.s_lo * power) / scale;
    return product_of(x, alpha, scale, of, -1.0, 2, 1);
}

}  // namespace exact
