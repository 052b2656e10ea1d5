// SPDX-License-Identifier: GPL-3.0-or-later
// The delta engine's speed as ratios to memcpy and XOR + count of the same process, and its
// compression beside the entropy bound. bench_delta [--json] [--size MiB] [--lr X] [--threads N]

#include "services/core/clock.h"
#include "services/delta/arc_v2.h"
#include "services/delta/engine.h"
#include "services/delta/report_json.h"
#include "services/delta/scan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace desk;
namespace fs = std::filesystem;

constexpr std::size_t kBenchChunk = 393'216;
constexpr int kRuns = 5;

/// splitmix64: the same pair on every machine.
class Random
{
public:
    explicit Random(std::uint64_t seed)
        : m_state(seed)
    {
    }
    std::uint64_t next()
    {
        std::uint64_t z = (m_state += 0x9E3779B97F4A7C15U);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    /// Sum of twelve uniforms: close enough to normal, and no library function that may differ.
    double normal()
    {
        double sum = -6;
        for (int i = 0; i < 12; ++i)
            sum += uniform();
        return sum;
    }

private:
    std::uint64_t m_state;
};

std::uint16_t roundToBf16(float value)
{
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}
float fromBf16(std::uint16_t value)
{
    const std::uint32_t bits = static_cast<std::uint32_t>(value) << 16;
    float number = 0;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

struct Pair
{
    std::vector<std::uint16_t> base;
    std::vector<std::uint16_t> next;
};

/// One Adam step at learning rate lr: the float32 master lies anywhere in the rounding interval of
/// its bf16 value and moves by lr * (0.1 mu + 0.229 z), so small weights change often, large ones
/// rarely.
Pair makePair(std::size_t elements, double lr)
{
    constexpr std::size_t kRow = 1024;
    Random random(20'260'921);
    Pair pair;
    pair.base.reserve(elements);
    pair.next.reserve(elements);
    double sigma = 0.02;
    for (std::size_t i = 0; i < elements; ++i) {
        if (i % kRow == 0)
            sigma = 0.02 * std::exp2(0.5 * random.normal());
        const auto old = roundToBf16(static_cast<float>(sigma * random.normal()));
        const float value = fromBf16(old);
        const float ulp = std::ldexp(1.0F, std::max(std::ilogb(value), -126) - 7);
        const double master = value + ulp * (random.uniform() - 0.5);
        const double step = lr * (0.1 * random.normal() + 0.229 * random.normal());
        pair.base.push_back(old);
        pair.next.push_back(roundToBf16(static_cast<float>(master + step)));
    }
    // A master on the edge of the interval may round away although it did not move.
    return pair;
}

/// Bytes of new per byte of the best code that knows the share of changes and the XOR values'
/// histogram.
double entropyBound(const Pair& pair)
{
    std::map<std::uint16_t, std::uint64_t> counts;
    for (std::size_t i = 0; i < pair.base.size(); ++i)
        ++counts[pair.base[i] ^ pair.next[i]];
    double bits = 0;
    for (const auto& [value, count] : counts) {
        const double p = static_cast<double>(count) / static_cast<double>(pair.base.size());
        bits -= p * std::log2(p);
    }
    return bits > 0 ? 16 / bits : 0;
}

/// Seconds of the fastest of some runs.
double bestSeconds(const std::function<void()>& work)
{
    double best = 1e30;
    for (int i = 0; i < kRuns; ++i) {
        const auto start = std::chrono::steady_clock::now();
        work();
        best = std::min(
            best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
}

std::string cpuName()
{
    std::ifstream stream("/proc/cpuinfo");
    std::string line;
    while (std::getline(stream, line))
        if (line.rfind("model name", 0) == 0)
            return line.substr(line.find(':') + 2);
    return "unknown";
}

void require(bool isTrue, const std::string& what)
{
    if (isTrue)
        return;
    std::fprintf(stderr, "bench_delta: %s\n", what.c_str());
    std::exit(1);
}

class Bench
{
public:
    Bench(std::size_t mebibytes, double lr, unsigned threads)
        : m_threads(threads)
        , m_pair(makePair(mebibytes << 19, lr))
        , m_bytes(m_pair.base.size() * 2)
        , m_kernels(activeScanKernels())
    {
        const fs::path memory = "/dev/shm";
        auto pattern = ((::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path())
            / "desk-bench-XXXXXX")
                           .string();
        require(::mkdtemp(pattern.data()) != nullptr, "cannot make a folder");
        m_folder = pattern;
        measureReferences();
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench()
    {
        std::error_code ignored;
        fs::remove_all(m_folder, ignored);
    }

    std::vector<BenchItem> run()
    {
        writePair();
        add("scan", gigabytes(bestSeconds([this] { scan(); })), "xor_count", m_xorCount, 0.75, 1);
        add("encode", gigabytes(bestSeconds([this] { encode(); })), "memcpy", m_memcpy, 0.13, 1);
        const auto engine = *openDeltaEngine(DevicePolicy::PreferCuda);
        const auto base = m_folder / "base.safetensors";
        const auto next = m_folder / "next.safetensors";
        const auto delta = m_folder / "delta.safetensors";
        const auto made = engine->diff({ base, next, delta, 3, m_threads }, {});
        require(made.has_value(), "diff failed");
        m_stages["diff"] = made->stages;
        add("apply", gigabytes(bestSeconds([&] {
            const auto applied =
                engine->apply({ base, { delta }, m_folder / "out.safetensors", m_threads }, {});
            require(applied.has_value(), "apply failed");
            m_stages["apply"] = applied->stages;
        })),
            "memcpy", m_memcpy, std::nullopt, m_threads);
        add("verify", gigabytes(bestSeconds([&] {
            const auto proved = engine->verify({ base, { delta }, std::nullopt, m_threads }, {});
            require(proved && proved->verdict == Verdict::Exact, "verify failed");
            m_stages["verify"] = proved->stages;
        })),
            "memcpy", m_memcpy, std::nullopt, m_threads);
        add("compression", made->ratio, "bound", entropyBound(m_pair), std::nullopt, 1, "ratio");
        return std::move(m_items);
    }

    /// Where the time of the last run of each job went.
    [[nodiscard]] const std::map<std::string, std::vector<StageThroughput>>& stages() const
    {
        return m_stages;
    }

private:
    [[nodiscard]] double gigabytes(double seconds) const
    {
        return static_cast<double>(m_bytes) / seconds / 1e9;
    }
    void add(const std::string& name, double value, const std::string& reference,
        double referenceValue, std::optional<double> target, unsigned threads,
        const std::string& unit = "GB/s")
    {
        m_items.push_back({ name, value, unit, reference, referenceValue, target, true,
            m_kernels.name, "cpu", threads, cpuName() });
    }
    [[nodiscard]] const std::byte* base() const
    {
        return std::as_bytes(std::span(m_pair.base)).data();
    }
    [[nodiscard]] const std::byte* next() const
    {
        return std::as_bytes(std::span(m_pair.next)).data();
    }
    void measureReferences()
    {
        std::vector<std::byte> copy(m_bytes);
        m_memcpy = gigabytes(bestSeconds([&] {
            std::memcpy(copy.data(), base(), m_bytes);
            asm volatile("" : : "r"(copy.data()) : "memory"); // the copy must happen
        }));
        m_xorCount = gigabytes(bestSeconds([&] {
            std::uint64_t changed = 0;
            for (std::size_t i = 0; i + 8 <= m_bytes; i += 8) {
                std::uint64_t a = 0;
                std::uint64_t b = 0;
                std::memcpy(&a, base() + i, 8);
                std::memcpy(&b, next() + i, 8);
                changed += (a ^ b) != 0 ? 1 : 0;
            }
            m_sink = m_sink + changed;
        }));
    }
    void scan()
    {
        ScanTotals totals;
        for (std::size_t at = 0; at < m_bytes; at += kBenchChunk)
            m_kernels.scan(base() + at, next() + at, nullptr, std::min(kBenchChunk, m_bytes - at),
                ScanUnit::Word16, totals);
        m_sink = m_sink + totals.changed + totals.next.value();
    }
    void encode()
    {
        ScanTotals totals;
        ArcV2Encoder encoder(3);
        std::vector<std::byte> chunk(kBenchChunk);
        bool isGood = encoder
                          .begin(m_bytes,
                              [this](auto bytes) {
                                  m_sink = m_sink + bytes.size();
                                  return done();
                              })
                          .has_value();
        for (std::size_t at = 0; at < m_bytes; at += kBenchChunk) {
            const auto n = std::min(kBenchChunk, m_bytes - at);
            m_kernels.scan(base() + at, next() + at, chunk.data(), n, ScanUnit::Word16, totals);
            isGood = isGood && encoder.add(std::span(chunk).first(n)).has_value();
        }
        require(isGood && encoder.finish().has_value(), "encode failed");
    }
    void writePair()
    {
        for (const auto& [name, values] :
            { std::pair("base", &m_pair.base), std::pair("next", &m_pair.next) }) {
            // As many tensors as threads have something to do with.
            std::vector<TensorView> tensors;
            constexpr std::size_t kPieces = 16;
            const std::size_t piece = values->size() / kPieces;
            for (std::size_t i = 0; i < kPieces; ++i)
                tensors.push_back({ "layers." + std::to_string(i), Dtype::BF16, { piece },
                    std::as_bytes(std::span(*values).subspan(i * piece, piece)) });
            require(writeSafetensors(m_folder / (std::string(name) + ".safetensors"), tensors)
                        .has_value(),
                "cannot write the pair");
        }
    }

    unsigned m_threads;
    Pair m_pair;
    std::size_t m_bytes;
    const ScanKernels& m_kernels;
    fs::path m_folder;
    double m_memcpy = 0;
    double m_xorCount = 0;
    std::vector<BenchItem> m_items;
    std::map<std::string, std::vector<StageThroughput>> m_stages;
    volatile std::uint64_t m_sink = 0;
};

} // namespace

int main(int argc, char** argv)
{
    bool isJson = false;
    std::size_t mebibytes = 128;
    double lr = 1e-6;
    unsigned threads = 1;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const bool hasValue = i + 1 < argc;
        if (argument == "--json")
            isJson = true;
        else if (argument == "--size" && hasValue)
            mebibytes = std::clamp(std::strtoul(argv[++i], nullptr, 10), 1UL, 16'384UL);
        else if (argument == "--lr" && hasValue)
            lr = std::strtod(argv[++i], nullptr);
        else if (argument == "--threads" && hasValue)
            threads = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
        else {
            std::fprintf(stderr,
                "bench_delta [--json] [--size MiB] [--lr X] [--threads N]: speed and compression "
                "of the delta engine\n");
            return argument == "--help" ? 0 : 2;
        }
    }
    Bench bench(mebibytes, lr, threads);
    const auto items = bench.run();
    if (isJson) {
        const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(
            std::chrono::system_clock::now());
        std::printf("%s\n", toJson(items, toRfc3339(now)).c_str());
        return 0;
    }
    std::printf("%zu MiB of bf16, lr %g, kernel %s, %s\n", mebibytes, lr, activeScanKernels().name,
        cpuName().c_str());
    for (const auto& item : items)
        std::printf("  %-12s %8.2f %-6s %3.0f %% of %s (%.2f)\n", item.name.c_str(), item.value,
            item.unit.c_str(), item.value / item.referenceValue * 100, item.reference.c_str(),
            item.referenceValue);
    for (const auto& [job, stages] : bench.stages()) {
        std::printf("  %s:", job.c_str());
        for (const auto& stage : stages)
            std::printf("  %s %.2f GB/s", stage.stage.c_str(), stage.bytesPerSecond() / 1e9);
        std::printf("\n");
    }
    return 0;
}
