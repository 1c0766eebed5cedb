extern "C" void run(unsigned blocks, unsigned threads, const Stored* x, const Numbers<Real>* by,
                    Stored* loss, Stored* influence, Stored* weight, Stored* curvature,
                    Stored* grad_alpha, Stored* grad_scale, long long size,
                    const Numbers<Real>* derived) {
    launch(blocks, threads, [&] {
        dense(x, *by, loss, influence, weight, curvature, grad_alpha, grad_scale, size, derived);
    });
}
