extern "C" void run(unsigned blocks, unsigned threads, const Stored* grad, long long step,
                    const Stored* x, const Parameters<Stored>* of, Stored* in_x, double* partial,
                    long long width, long long lanes, long long size) {
    launch(blocks, threads, [&] {
        pullback_columns(grad, step, x, *of, in_x, partial, width, lanes, size);
    });
}
