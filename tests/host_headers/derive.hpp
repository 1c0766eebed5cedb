extern "C" void run(unsigned blocks, unsigned threads, const Stored* alpha, const Stored* scale,
                    Numbers<Real>* to) {
    launch(blocks, threads, [&] { derive(alpha, scale, to); });
}
