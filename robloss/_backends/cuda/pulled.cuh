// What is summed up in a backward pass, in float64. Elements with a gradient g of 0 from above are left
// out, whatever x: slopes of huge residuals may be infinite.

template <int WANTED>
struct Pulled {
    double grad_alpha = 0.0, grad_scale = 0.0;

    // Adds an element, and gives the gradient in x.
    template <class T>
    __device__ T add(T g, const Outputs<T>& out) {
        const bool counts = g != T(0);
        const T in_alpha = counts ? out.grad_alpha : T(0);
        const T in_scale = counts ? out.grad_scale : T(0);
        if (WANTED & GRAD_ALPHA) grad_alpha += double(g) * double(in_alpha);
        if (WANTED & GRAD_SCALE) grad_scale += double(g) * double(in_scale);
        return counts ? g * out.influence : T(0);
    }
};
