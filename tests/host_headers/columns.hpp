extern "C" void run(unsigned blocks, unsigned threads, const Stored* grad, long long step,
                    const Stored* x, const Stored* alphas, long long step_of_alpha,
                    const Stored* scales, long long step_of_scale, Stored* in_x, double* partial,
                    long long width, long long lanes, long long size) {
    launch(blocks, threads, [&] {
        columns(grad, step, x, alphas, step_of_alpha, scales, step_of_scale, in_x, partial, width,
                lanes, size);
    });
}
