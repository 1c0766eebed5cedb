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

// Derived in the precision of the data, for `steep_power` alone: as for one element.
template <class T>
__device__ inline Numbers<T> steep_numbers(T alpha, T scale) {
    Numbers<T> by = {double(alpha), double(scale), {}};
    by.derived.shape = shape_of(alpha);
    by.derived.width = width_of(scale);
    return by;
}

// DERIVED: for both ways, which pays where a thread has many elements.
template <int MEMBER, class T, class S>
__device__ inline Numbers<T> numbers_of(const Parameters<S>& of, long long column) {
    const double alpha = of.alpha.at(column), scale = of.scale.at(column);
    if constexpr (MEMBER == DERIVED) return {alpha, scale, derived<T>(alpha, scale)};
    return steep_numbers(T(alpha), T(scale));
}

template <int MEMBER, class T>
__device__ inline bool is_moderate(const Numbers<T>& by) {
    return MEMBER == DERIVED && MODERATE_LOW <= by.alpha && by.alpha <= MODERATE_HIGH;
}

// What a thread has on its way at once: elements `lanes` apart, zeros beyond the end.
template <class T, int SIZE>
struct Batch {
    T at[SIZE];
};

template <class T, int SIZE, class S>
__device__ inline Batch<T, SIZE> load_apart(const S* from, long long start, long long lanes,
                                            long long size) {
    Batch<T, SIZE> batch;
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        const long long i = start + k * lanes;
        batch.at[k] = i < size ? T(from[i]) : T(0);
    }
    return batch;
}
