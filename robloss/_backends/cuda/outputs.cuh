// The operations on elements: the fast path, and `exact` where that does not serve. Conditions are
// combined by & and |: && and || would become branches, which keep elements from going side by side.

#define EVERY_OUTPUT(DO)       \
    DO(loss, LOSS)             \
    DO(influence, INFLUENCE)   \
    DO(weight, WEIGHT)         \
    DO(curvature, CURVATURE)   \
    DO(grad_alpha, GRAD_ALPHA) \
    DO(grad_scale, GRAD_SCALE)

enum Wanted { LOSS = 1, INFLUENCE = 2, WEIGHT = 4, CURVATURE = 8, GRAD_ALPHA = 16, GRAD_SCALE = 32 };

template <class T>
struct Outputs {
    T loss, influence, weight, curvature, grad_alpha, grad_scale;
};

// Not inlined: it would keep the registers of many kinds of pow from those who never come here.
template <int WANTED, class T>
__device__ __noinline__ Outputs<T> exactly(double x, double alpha, double scale) {
    Outputs<T> out = {};
#define COMPUTE(NAME, BIT) \
    if (WANTED & BIT) out.NAME = T(exact::NAME(x, alpha, scale));
    EVERY_OUTPUT(COMPUTE)
#undef COMPUTE
    return out;
}

// Sets the outputs but ∂ρ/∂α, and says whether all of them are good.
template <int WANTED, class T>
__device__ inline bool outputs(const Parts<T>& parts, const Width<T>& width, T x, Outputs<T>& out) {
    const T w = fma(parts.power, width.weight, parts.power * width.weight_lo);
    const T of_scale = fma(parts.power, parts.pull, parts.power * parts.pull_lo);
    out = {parts.loss, x * w, w, w * parts.ratio, T(0), -of_scale};
    bool good = true;
    if (WANTED & (LOSS | GRAD_ALPHA)) good &= parts.loss_served;
    if (WANTED & (INFLUENCE | WEIGHT | CURVATURE | GRAD_SCALE)) good &= parts.served;
    if (WANTED & GRAD_SCALE) {
        // It has neither overflowed nor lost digits of s/c.
        good &= parts.pull_served & (fabs(of_scale) <= Format<T>::LARGEST);
    }
    return good;
}

// Sets ∂ρ/∂α, and takes note where it is not good.
template <class T, int SIZE>
__device__ inline void slopes(const Growth<T> (&growth)[SIZE], Outputs<T> (&out)[SIZE],
                              bool (&good)[SIZE]) {
    bool any_far = false;
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        out[i].grad_alpha = near_slope(growth[i]);
        any_far |= is_far(growth[i]);
    }
    if (any_far) {
        bool any_left = false;
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            if (is_far(growth[i])) out[i].grad_alpha = plain_slope(growth[i]);
            any_left |= is_far(growth[i]) & !is_plain(growth[i]);
        }
        if (any_left) {
#pragma unroll
            for (int i = 0; i < SIZE; ++i) {
                const Growth<T>& g = growth[i];
                if (is_far(g) & !is_plain(g)) {
                    out[i].grad_alpha = far_slope(g.log, g.t, g.power, g.p, g.tilt);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < SIZE; ++i) good[i] &= is_good(out[i].grad_alpha, growth[i]);
}

// What is the same for all elements, where alpha and scale are numbers.
template <class T>
struct Numbers {
    double alpha, scale;
    Derived<T> derived;
};

// Of an alpha and a scale on the device, DERIVED: for many elements, LANES: for few, or for each.
enum Member { POWER, SATURATING, STEEP_POWER, DERIVED, LANES };

template <int MEMBER, class T>
__device__ inline Parts<T> parts_of(T x, const Derived<T>& by) {
    if (MEMBER == POWER) return power(x, by);
    if (MEMBER == SATURATING) return saturating(x, by);
    return steep_power(x, by.shape, by.width);
}

// Several elements side by side: while one waits for what it computed, another goes on.
template <int WANTED, int MEMBER, class T, int SIZE>
__device__ inline void compute(const T (&x)[SIZE], const Numbers<T>& by, Outputs<T> (&out)[SIZE]) {
    Growth<T> growth[SIZE];
    bool good[SIZE], all_good = true;
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        const Parts<T> parts = parts_of<MEMBER>(x[i], by.derived);
        good[i] = outputs<WANTED>(parts, by.derived.width, x[i], out[i]);
        growth[i] = parts.growth;
    }
    if (WANTED & GRAD_ALPHA) slopes(growth, out, good);
#pragma unroll
    for (int i = 0; i < SIZE; ++i) all_good &= good[i];
    if (all_good) return;
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        if (!good[i]) out[i] = exactly<WANTED, T>(x[i], by.alpha, by.scale);
    }
}

template <int WANTED, int MEMBER, class T, int SIZE>
__device__ inline void outputs_of(const T (&x)[SIZE], const Numbers<T>& by, Outputs<T> (&out)[SIZE]) {
    const bool low = by.alpha < MODERATE_LOW;
    if (MEMBER == POWER || (MEMBER == DERIVED && !low && by.alpha <= MODERATE_HIGH)) {
        compute<WANTED, POWER>(x, by, out);
    } else if (WANTED == LOSS && (MEMBER == SATURATING || (MEMBER == DERIVED && low))) {
        compute<WANTED, SATURATING>(x, by, out);
    } else {
        compute<WANTED, STEEP_POWER>(x, by, out);
    }
}

template <int WANTED, int MEMBER, class T>
__device__ inline Outputs<T> outputs_of(T x, const Numbers<T>& by) {
    const T one[1] = {x};
    Outputs<T> out[1];
    outputs_of<WANTED, MEMBER>(one, by, out);
    return out[0];
}

// An alpha and a scale of their own.
template <class T>
__device__ inline Numbers<T> numbers_of(T alpha, T scale) {
    Numbers<T> by = {double(alpha), double(scale), {}};
    by.derived.shape = shape_of(alpha);
    by.derived.width = width_of(scale);
    return by;
}
