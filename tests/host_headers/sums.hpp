// One thread per block: nobody waits for another, and what the others would add is 0.
extern "C" void run(unsigned blocks, unsigned, const Stored* x, const Stored* weights,
                    const Numbers<Real>* by, double* partial, long long size) {
    launch(blocks, 1, [&] { sums(x, weights, *by, partial, size); });
}
