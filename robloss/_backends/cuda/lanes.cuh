// Threads that stay in a column of a dense x: of places with one alpha and one scale, as far apart as
// x is wide. There are `lanes` threads, a multiple of the columns, so that each derives its numbers
// once, and neighbours read neighbours.

// An alpha or a scale: a number for each column, or one for all.
template <class S>
struct Parameter {
    const S* data;  // null for a number of the host
    double number;
    long long step;

    __device__ double at(long long column) const {
        return data ? double(data[column * step]) : number;
    }
};

template <class S>
struct Parameters {
    Parameter<S> alpha, scale;
};

// DERIVED: to pairs in float64, which pays where a thread has many elements.
template <int MEMBER, class T, class S>
__device__ inline Numbers<T> numbers_at(long long column, const Parameters<S>& of) {
    const double alpha = of.alpha.at(column), scale = of.scale.at(column);
    if constexpr (MEMBER == DERIVED) return {alpha, scale, derived<T>(alpha, scale)};
    return numbers_of(T(alpha), T(scale));
}

// Elements `lanes` apart, zeros beyond the end: what a thread has on its way at once.
template <class T, class S, class Place, int SIZE>
__device__ inline void load_apart(const S* from, Place start, Place lanes, Place size,
                                  T (&to)[SIZE]) {
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        const Place i = start + k * lanes;
        to[k] = i < size ? T(from[i]) : T(0);
    }
}
