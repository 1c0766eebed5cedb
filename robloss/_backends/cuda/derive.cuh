// Numbers of an alpha and a scale that lie on the device, for kernels that are started after this:
// of the two, and of the next smaller alpha where that is 2.

extern "C" __global__ void __launch_bounds__(256)
derive(const Stored* __restrict__ alpha, const Stored* __restrict__ scale,
       Numbers<Real>* __restrict__ to) {
    if (thread_index() > 1) return;
    double a = double(Real(*alpha));
    const double c = double(Real(*scale));
    if (thread_index() == 1 && a == 2.0) {
        a = double(below_two<Real>());
    }
    to[thread_index()] = {a, c, derived<Real>(a, c)};
}
