// SPDX-License-Identifier: GPL-3.0-or-later
// bench_engine [--json]: optimizer steps per second of the built-in model (1,024 tokens a step:
// eight sequences of 128), beside the time of its matrix products alone in the same process.

#include "services/local/engine/engine.h"
#include "services/local/engine/gemm.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {
using namespace desk::local;

constexpr std::size_t kSequences = 8;
constexpr std::size_t kLength = 128;

struct Timing
{
    double best = 1e9; // seconds of the fastest round
    double cpu = 0.0; // CPU seconds per round, mean
};

template <class Body>
Timing measure(int rounds, Body&& body)
{
    Timing timing;
    body(); // buffers
    const std::clock_t cpuStart = std::clock();
    for (int i = 0; i < rounds; ++i) {
        const auto start = std::chrono::steady_clock::now();
        body();
        timing.best = std::min(timing.best,
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    timing.cpu = static_cast<double>(std::clock() - cpuStart) / CLOCKS_PER_SEC / rounds;
    return timing;
}

std::vector<Datum> benchData()
{
    std::vector<Datum> data(kSequences);
    std::uint32_t state = 1;
    for (Datum& datum : data)
        for (std::size_t i = 0; i < kLength; ++i) {
            state = state * 1664525U + 1013904223U;
            datum.tokens.push_back(static_cast<std::int32_t>(state >> 24));
            datum.loss.targets.push_back(static_cast<std::int64_t>((state >> 16) & 255U));
        }
    return data;
}

Timing benchSteps(int threads, int rounds)
{
    auto engine = Engine::create(ModelConfig {}, 1, std::make_shared<ThreadPool>(threads));
    if (!engine)
        return {};
    const auto data = benchData();
    ForwardOptions options;
    options.backward = true;
    return measure(rounds, [&] {
        const auto result = (*engine)->forward(data, Loss {}, options, {});
        const auto step = (*engine)->optimStep({}, GradNormalization::NumLossTokens);
        if (!result || !step)
            std::fprintf(stderr, "bench_engine: the step failed\n");
    });
}

// The products of forward and backward (three of the same size per weight matrix) and nothing else.
Timing benchProducts(int threads, int rounds)
{
    ThreadPool pool(threads);
    const ModelConfig c;
    const auto& kernels = activeKernels<float>();
    const std::size_t n = kSequences * kLength;
    std::vector<std::pair<std::size_t, std::size_t>> matrices;
    const auto size = [](int value) { return static_cast<std::size_t>(value); };
    for (int l = 0; l < c.layers; ++l) {
        matrices.emplace_back(size((c.heads + 2 * c.kvHeads) * c.headDim), size(c.hiddenSize));
        matrices.emplace_back(size(c.hiddenSize), size(c.heads * c.headDim));
        matrices.emplace_back(size(2 * c.intermediateSize), size(c.hiddenSize));
        matrices.emplace_back(size(c.hiddenSize), size(c.intermediateSize));
    }
    matrices.emplace_back(size(c.vocabSize), size(c.hiddenSize));
    std::vector<float> x(n * 1024, 0.5F);
    std::vector<float> y(n * 1024, 0.25F);
    std::vector<float> w(std::size_t { 1024 } * 1024, 0.1F);
    std::vector<float> z(n * 1024);
    return measure(rounds, [&] {
        for (const auto& [out, in] : matrices) {
            multiply<float>(&pool, kernels, { n, out, in }, rowMajor(x.data(), in),
                transposed(w.data(), in), z.data(), out, false);
            multiply<float>(&pool, kernels, { n, in, out }, rowMajor(y.data(), out),
                rowMajor(w.data(), in), z.data(), in, false);
            multiply<float>(&pool, kernels, { out, in, n }, transposed(y.data(), out),
                rowMajor(x.data(), in), z.data(), in, false);
        }
    });
}

std::string cpuName()
{
    std::string name = "unknown";
    if (std::FILE* file = std::fopen("/proc/cpuinfo", "r")) {
        char line[512];
        while (std::fgets(line, sizeof line, file) != nullptr)
            if (std::strncmp(line, "model name", 10) == 0) {
                if (const char* colon = std::strchr(line, ':'))
                    name = colon + 2;
                break;
            }
        std::fclose(file);
    }
    name.erase(std::remove_if(name.begin(), name.end(),
                   [](char c) { return c == '\n' || c == '"' || c == '\\'; }),
        name.end());
    return name;
}
} // namespace

int main(int argc, char** argv)
{
    const bool asJson = argc > 1 && std::strcmp(argv[1], "--json") == 0;
    const std::string cpu = cpuName();
    std::string items;
    for (const int threads : { 1, 2 }) {
        const Timing step = benchSteps(threads, 30);
        const Timing products = benchProducts(threads, 30);
        const double rate = 1.0 / step.best;
        const double reference = 1.0 / products.best;
        const double target = threads == 2 ? 8.0 : 0.0;
        if (!asJson) {
            std::printf(
                "engine  %d thread%s  %.1f steps/s of 1,024 tokens (%.1f ms, %.1f ms CPU per "
                "step; matrix products alone %.1f steps/s, ratio %.2f; kernel %s)%s\n",
                threads, threads == 1 ? " " : "s", rate, step.best * 1e3, step.cpu * 1e3, reference,
                rate / reference, activeKernels<float>().name,
                threads == 2 ? (rate >= target ? "  target 8: met" : "  target 8: MISSED") : "");
            continue;
        }
        char text[512];
        std::snprintf(text, sizeof text,
            "%s{\"name\":\"train_steps\",\"value\":%.3f,\"unit\":\"steps/s\",\"reference\":"
            "\"matrix_products\",\"reference_value\":%.3f,\"ratio\":%.4f,\"target\":%s,\"better\":"
            "\"higher\",\"kernel\":\"%s\",\"device\":\"cpu\",\"threads\":%d,\"cpu\":\"%s\","
            "\"cpu_ms_per_step\":%.2f}",
            items.empty() ? "" : ",", rate, reference, rate / reference,
            threads == 2 ? "8" : "null", activeKernels<float>().name, threads, cpu.c_str(),
            step.cpu * 1e3);
        items += text;
    }
    if (asJson) {
        char now[32];
        const std::time_t seconds = std::time(nullptr);
        std::tm utc {};
        gmtime_r(&seconds, &utc);
        std::strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
        std::printf("{\"as_of\":\"%s\",\"items\":[%s]}\n", now, items.c_str());
    }
    return 0;
}
