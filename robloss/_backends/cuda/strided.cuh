// Arrays of any layout, broadcast against each other, and numbers among them: an element per thread.

constexpr int MOST_AXES = 8;

struct Operand {
    const Stored* data;  // null for a number
    double number;
    long long strides[MOST_AXES];  // in elements

    __device__ Real at(long long offset) const { return data ? Real(data[offset]) : Real(number); }
};

struct Operands {
    Operand x, alpha, scale;
    long long shape[MOST_AXES];  // as the strides: of the innermost axis first
    long long axes, size;
};

extern "C" __global__ void __launch_bounds__(256)
strided(const Operands from, const Numbers<Real> by, Stored* __restrict__ loss,
        Stored* __restrict__ influence, Stored* __restrict__ weight,
        Stored* __restrict__ curvature, Stored* __restrict__ grad_alpha,
        Stored* __restrict__ grad_scale) {
    for (long long i = thread_index(); i < from.size; i += thread_count()) {
        long long rest = i, at_x = 0, at_alpha = 0, at_scale = 0;
        for (int axis = 0; axis < from.axes; ++axis) {
            const bool outermost = axis + 1 == from.axes;
            const long long above = outermost ? 0 : rest / from.shape[axis];
            const long long k = rest - above * from.shape[axis];
            rest = above;
            at_x += k * from.x.strides[axis];
            at_alpha += k * from.alpha.strides[axis];
            at_scale += k * from.scale.strides[axis];
        }
        const Real x = from.x.at(at_x);
        const Outputs<Real> out = outputs_of<WANTED, MEMBER>(
            x, MEMBER == LANES ? numbers_of(from.alpha.at(at_alpha), from.scale.at(at_scale)) : by);
#define PUT(NAME, BIT) \
    if (WANTED & BIT) NAME[i] = Stored(out.NAME);
        EVERY_OUTPUT(PUT)
#undef PUT
    }
}
