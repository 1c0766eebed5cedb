// The operations on one element: the fast path, and `exact` where that does not serve.

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

// Sets the outputs, and says whether all of them are good.
template <int WANTED, class T>
__device__ inline bool outputs(const Parts<T>& parts, const Width<T>& width, T x, Outputs<T>& out) {
    const T w = fma(parts.power, width.weight, parts.power * width.weight_lo);
    const T of_scale = fma(parts.power, parts.pull, parts.power * parts.pull_lo);
    out = {parts.loss, x * w, w, w * parts.ratio, T(0), -of_scale};
    bool good = true;
    if (WANTED & LOSS) good = good && parts.loss_served;
    if (WANTED & (INFLUENCE | WEIGHT | CURVATURE | GRAD_SCALE)) good = good && parts.served;
    if (WANTED & GRAD_SCALE) {
        // It has neither overflowed nor lost digits of s/c.
        good = good && parts.pull_served && of_scale - of_scale == T(0);
        good = good && (parts.pull >= Format<T>::LEAST || x == T(0));
    }
    if (WANTED & GRAD_ALPHA) {
        good = slope(parts.growth, out.grad_alpha) && parts.loss_served && good;
    }
    return good;
}

// What is the same for all elements, where alpha and scale are numbers.
template <class T>
struct Numbers {
    double alpha, scale;
    Derived<T> derived;
};

// DERIVED: alpha and scale are numbers on the device, LANES: one of them is per element.
enum Member { POWER, STEEP_POWER, DERIVED, LANES };

template <int WANTED, int MEMBER, class T>
__device__ inline bool of_numbers(T x, const Numbers<T>& by, Outputs<T>& out) {
    const Derived<T>& of = by.derived;
    const bool moderate = MODERATE_LOW <= by.alpha && by.alpha <= MODERATE_HIGH;
    return outputs<WANTED>(MEMBER == POWER || (MEMBER == DERIVED && moderate)
                               ? power(x, of)
                               : steep_power(x, of.shape, of.width),
                           of.width, x, out);
}

// The same by whichever way serves.
template <int WANTED, int MEMBER, class T>
__device__ inline Outputs<T> outputs_of(T x, const Numbers<T>& by) {
    Outputs<T> out;
    if (of_numbers<WANTED, MEMBER>(x, by, out)) return out;
    return exactly<WANTED, T>(x, by.alpha, by.scale);
}

template <int WANTED, class T>
__device__ inline bool of_element(T x, T alpha, T scale, Outputs<T>& out) {
    const Width<T> width = width_of(scale);
    return outputs<WANTED>(steep_power(x, shape_of(alpha), width), width, x, out);
}
