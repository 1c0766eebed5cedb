extern "C" void run(unsigned blocks, unsigned threads, const Stored* alpha, long long step,
                    Stored* to, long long size) {
    launch(blocks, threads, [&] { partition(alpha, step, to, size); });
}
