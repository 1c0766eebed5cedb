// How elements lie in memory. `Stored` is the dtype of the arrays, `Real` what is computed in.

#ifdef __CUDACC__
// float16 of no header: which of them there are depends on who compiles.
struct Half {
    unsigned short bits;

    Half() = default;
    __device__ Half(float a) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(a)); }
    __device__ operator float() const {
        float a;
        asm("cvt.f32.f16 %0, %1;" : "=f"(a) : "h"(bits));
        return a;
    }
};
#endif

// What one load or store of 16 bytes takes.
template <class S>
struct alignas(16) Pack {
    static constexpr int SIZE = 16 / sizeof(S);
    S at[SIZE];
};

template <class S>
__device__ inline Pack<S> load(const S* from, long long start, long long size) {
    if (start + Pack<S>::SIZE <= size) return *reinterpret_cast<const Pack<S>*>(from + start);
    Pack<S> pack;
#pragma unroll
    for (int i = 0; i < Pack<S>::SIZE; ++i) {
        pack.at[i] = start + i < size ? from[start + i] : S(0.0f);
    }
    return pack;
}

// The numbers that are computed with.
template <class T, class S>
__device__ inline void unpack(const Pack<S>& pack, T (&to)[Pack<S>::SIZE]) {
#pragma unroll
    for (int i = 0; i < Pack<S>::SIZE; ++i) to[i] = T(pack.at[i]);
}

template <class S>
__device__ inline void store(S* to, long long start, long long size, const Pack<S>& pack) {
    if (start + Pack<S>::SIZE <= size) {
        *reinterpret_cast<Pack<S>*>(to + start) = pack;
        return;
    }
#pragma unroll
    for (int i = 0; i < Pack<S>::SIZE; ++i) {
        if (start + i < size) to[start + i] = pack.at[i];
    }
}

__device__ inline long long thread_index() {
    return (long long)(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline long long thread_count() { return (long long)(gridDim.x) * blockDim.x; }
