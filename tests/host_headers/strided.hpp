extern "C" void run(unsigned blocks, unsigned threads, const Operands* from,
                    const Numbers<Real>* by, Stored* loss, Stored* influence, Stored* weight,
                    Stored* curvature, Stored* grad_alpha, Stored* grad_scale) {
    launch(blocks, threads, [&] {
        strided(*from, *by, loss, influence, weight, curvature, grad_alpha, grad_scale);
    });
}
