// SPDX-License-Identifier: GPL-3.0-or-later
// bench_engine [--json]: optimizer steps per second of the built-in model (1,024 tokens a step:
// eight sequences of 128), all parameters and LoRA of rank 8 and 32, beside the time of the matrix
// products of full-parameter training alone in the same process.

#include "services/local/engine/engine.h"
#include "services/local/engine/gemm.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

namespace {
using namespace desk::local;
namespace fs = std::filesystem;

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

// The built-in model's shape with seed-made weights, as a folder: adapters need a base to open.
class BenchModel
{
public:
    BenchModel()
        : m_folder(fs::temp_directory_path() / ("bench_engine_" + std::to_string(::getpid())))
    {
        const auto made = Engine::create(ModelConfig {}, 1, std::make_shared<ThreadPool>(2));
        if (!made || !(*made)->exportHf(m_folder))
            std::fprintf(stderr, "bench_engine: the model could not be written\n");
    }
    ~BenchModel()
    {
        std::error_code ignored;
        fs::remove_all(m_folder, ignored);
    }
    BenchModel(const BenchModel&) = delete;
    BenchModel& operator=(const BenchModel&) = delete;
    // rank 0: all parameters
    [[nodiscard]] std::unique_ptr<Engine> open(int rank, int threads) const
    {
        auto pool = std::make_shared<ThreadPool>(threads);
        LoraSettings settings;
        settings.rank = rank;
        auto engine = rank == 0 ? Engine::open(m_folder, std::move(pool))
                                : Engine::openLora(m_folder, settings, std::move(pool));
        return engine ? std::move(*engine) : nullptr;
    }

private:
    fs::path m_folder;
};

Timing benchSteps(Engine& engine, int rounds)
{
    const auto data = benchData();
    ForwardOptions options;
    options.backward = true;
    return measure(rounds, [&] {
        const auto result = engine.forward(data, Loss {}, options, {});
        const auto step = engine.optimStep({}, GradNormalization::NumLossTokens);
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

struct BenchRow
{
    int rank, threads;
    Timing step;
    double reference; // products per second
    std::uint64_t trained;
    [[nodiscard]] double rate() const { return 1.0 / step.best; }
    [[nodiscard]] double target() const { return rank == 0 && threads == 2 ? 8.0 : 0.0; }
};

void printRow(const BenchRow& row)
{
    std::string what = "full";
    if (row.rank > 0)
        what = "lora " + std::to_string(row.rank);
    std::printf(
        "engine  %-7s  %d thread%s  %.1f steps/s of 1,024 tokens (%.1f ms, %.1f ms CPU per "
        "step; %llu trained; matrix products alone %.1f steps/s, ratio %.2f; kernel %s)%s\n",
        what.c_str(), row.threads, row.threads == 1 ? " " : "s", row.rate(), row.step.best * 1e3,
        row.step.cpu * 1e3, static_cast<unsigned long long>(row.trained), row.reference,
        row.rate() / row.reference, activeKernels<float>().name,
        row.target() == 0.0              ? ""
            : row.rate() >= row.target() ? "  target 8: met"
                                         : "  target 8: MISSED");
}

std::string jsonRow(const BenchRow& row, const std::string& cpu)
{
    std::string name = "train_steps";
    if (row.rank > 0)
        name += "_lora" + std::to_string(row.rank);
    char text[640];
    std::snprintf(text, sizeof text,
        "{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"steps/s\",\"reference\":"
        "\"matrix_products\",\"reference_value\":%.3f,\"ratio\":%.4f,\"target\":%s,\"better\":"
        "\"higher\",\"kernel\":\"%s\",\"device\":\"cpu\",\"threads\":%d,\"cpu\":\"%s\","
        "\"cpu_ms_per_step\":%.2f}",
        name.c_str(), row.rate(), row.reference, row.rate() / row.reference,
        row.target() > 0.0 ? "8" : "null", activeKernels<float>().name, row.threads, cpu.c_str(),
        row.step.cpu * 1e3);
    return text;
}
} // namespace

int main(int argc, char** argv)
{
    const bool asJson = argc > 1 && std::strcmp(argv[1], "--json") == 0;
    const std::string cpu = cpuName();
    const BenchModel model;
    std::string items;
    for (const int threads : { 1, 2 }) {
        const double reference = 1.0 / benchProducts(threads, 30).best;
        for (const int rank : { 0, 8, 32 }) {
            const auto engine = model.open(rank, threads);
            if (!engine)
                return 1;
            const BenchRow row { rank, threads, benchSteps(*engine, 30), reference,
                engine->trainedParameterCount() };
            if (!asJson)
                printRow(row);
            else
                items += (items.empty() ? "" : ",") + jsonRow(row, cpu);
        }
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
