extern "C" void run(unsigned blocks, unsigned threads, const Stored* z, const double* alpha,
                    Stored* tilt, Stored* bow, long long size) {
    launch(blocks, threads, [&] { bends(z, *alpha, tilt, bow, size); });
}
