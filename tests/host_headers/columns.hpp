extern "C" void run(unsigned blocks, unsigned threads, const Stored* x,
                    const Parameters<Stored>* of, Stored* loss, Stored* influence, Stored* weight,
                    Stored* curvature, Stored* grad_alpha, Stored* grad_scale, long long width,
                    long long lanes, long long size) {
    launch(blocks, threads, [&] {
        columns(x, *of, loss, influence, weight, curvature, grad_alpha, grad_scale, width, lanes,
                size);
    });
}
