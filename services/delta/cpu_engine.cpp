// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/cpu_engine.h"

#include "services/delta/output_file.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace desk {

const char* toString(TensorStatus status) noexcept
{
    switch (status) {
    case TensorStatus::Exact:
        return "exact";
    case TensorStatus::Mismatch:
        return "mismatch";
    case TensorStatus::Missing:
        return "missing";
    case TensorStatus::Extra:
        return "extra";
    case TensorStatus::NotChecked:
        break;
    }
    return "not_checked";
}

const char* toString(Verdict verdict) noexcept
{
    switch (verdict) {
    case Verdict::Exact:
        return "exact";
    case Verdict::Mismatch:
        return "mismatch";
    case Verdict::Partial:
        break;
    }
    return "partial";
}

CpuEngine::CpuEngine(const ScanKernels& kernels, std::string reason)
    : m_kernels(kernels)
    , m_reason(std::move(reason))
{
}

std::string CpuEngine::description() const
{
    const bool isAvx2 = std::string_view(m_kernels.name) == "avx2";
    return std::string("CPU · ") + (isAvx2 ? "AVX2" : m_kernels.name) + " (" + m_reason + ")";
}

Result<std::unique_ptr<DeltaEngine>> openDeltaEngine(DevicePolicy policy)
{
    return std::unique_ptr<DeltaEngine>(std::make_unique<CpuEngine>(activeScanKernels(),
        policy == DevicePolicy::PreferCuda ? "built without CUDA" : "the CPU was asked for"));
}

Status checkOutput(
    const std::filesystem::path& output, const std::vector<std::filesystem::path>& inputs)
{
    namespace fs = std::filesystem;
    if (isInsideHubCache(output))
        return Error { Error::Code::Refused,
            output.string() + " lies inside a model cache, where nothing may be written",
            "nothing was written", "choose another folder", {} };
    std::error_code code;
    for (const auto& input : inputs)
        if (fs::equivalent(output, input, code) && !code)
            return Error { Error::Code::Conflict,
                "the output " + output.string() + " is one of the inputs", "it was left as it is",
                "choose another name", {} };
    return done();
}

Status copySmallFile(const std::filesystem::path& from, const std::filesystem::path& to)
{
    const int fd = ::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return systemError(errno, "open", from);
    auto file = OutputFile::create(to);
    Status status = file ? done() : Status(file.error());
    std::vector<std::byte> buffer(kChunkBytes);
    for (std::uint64_t offset = 0; status;) {
        const auto count = ::read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            status = systemError(errno, "read", from);
        if (count <= 0)
            break;
        status = file->writeAt(offset, std::span(buffer).first(static_cast<std::size_t>(count)));
        offset += static_cast<std::uint64_t>(count);
    }
    ::close(fd);
    return status ? file->commit() : status;
}

std::string shapeText(const std::vector<std::uint64_t>& shape)
{
    std::string text = "[";
    for (const auto extent : shape)
        text += (text.size() > 1 ? "," : "") + std::to_string(extent);
    return text + "]";
}

double fractionOf(std::uint64_t part, std::uint64_t whole) noexcept
{
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::optional<Mismatch> firstDifference(const TensorInfo& tensor, std::uint64_t offset,
    const std::byte* base, const std::byte* expected, const std::byte* found, std::size_t n)
{
    if (std::memcmp(expected, found, n) == 0)
        return std::nullopt;
    const auto at =
        static_cast<std::size_t>(std::mismatch(expected, expected + n, found).first - expected);
    // The bytes of one element, or of the smallest group of packed elements.
    const unsigned bits = bitsOf(tensor.dtype);
    const std::size_t width = bits == 6 ? 3 : std::max(1U, bits / 8);
    const std::size_t first = at / width * width;
    const auto hex = [&](const std::byte* bytes) {
        std::string text;
        for (std::size_t i = first; i < std::min(first + width, n); ++i) {
            char digits[3];
            std::snprintf(digits, sizeof digits, "%02x", std::to_integer<unsigned>(bytes[i]));
            text += digits;
        }
        return text;
    };
    const std::uint64_t byteOffset = offset + at;
    return Mismatch { tensor.name, (offset + first) * 8 / bits, byteOffset,
        base == nullptr ? std::string() : hex(base), hex(expected), hex(found) };
}

void concludeVerify(VerifyReport& report, const std::vector<std::optional<Mismatch>>& mismatches)
{
    std::uint64_t changed = 0;
    std::uint64_t elements = 0;
    report.counts = {};
    report.counts.total = report.rows.size();
    for (auto& row : report.rows) {
        const bool isCompared =
            row.status == TensorStatus::Exact || row.status == TensorStatus::Mismatch;
        report.counts.exact += row.status == TensorStatus::Exact ? 1 : 0;
        report.counts.mismatch += row.status == TensorStatus::Mismatch ? 1 : 0;
        report.counts.missing += row.status == TensorStatus::Missing ? 1 : 0;
        report.counts.extra += row.status == TensorStatus::Extra ? 1 : 0;
        report.counts.notChecked += row.status == TensorStatus::NotChecked ? 1 : 0;
        if (!isCompared || row.checksum.empty())
            continue;
        report.bytes += row.bytes;
        changed += row.changed;
        elements += row.elements;
        if (row.elements > 0)
            row.changedFraction = fractionOf(row.changed, row.elements);
    }
    report.changedFraction = fractionOf(changed, elements);
    for (const auto& mismatch : mismatches)
        if (mismatch && !report.firstMismatch)
            report.firstMismatch = mismatch;
    const auto& counts = report.counts;
    if (counts.mismatch + counts.missing + counts.extra > 0)
        report.verdict = Verdict::Mismatch;
    else
        report.verdict = counts.notChecked > 0 ? Verdict::Partial : Verdict::Exact;
}

std::string twinNote(const WeightSet& set, const WeightTensor& tensor, const std::string& where)
{
    constexpr int kMaxCandidates = 4; // a note is not worth reading the whole model for
    std::vector<std::byte> mine(kChunkBytes);
    std::vector<std::byte> theirs(kChunkBytes);
    int candidates = 0;
    for (const auto& other : set.tensors()) {
        if (other.info == tensor.info || other.isCut || tensor.isCut
            || other.info->dtype != tensor.info->dtype || other.info->shape != tensor.info->shape
            || other.info->byteCount() == 0 || ++candidates > kMaxCandidates)
            continue;
        bool isEqual = true;
        for (std::uint64_t at = 0; isEqual && at < tensor.info->byteCount(); at += kChunkBytes) {
            const auto n = static_cast<std::size_t>(
                std::min<std::uint64_t>(kChunkBytes, tensor.info->byteCount() - at));
            isEqual = set.fileOf(tensor).read(*tensor.info, at, std::span(mine).first(n))
                && set.fileOf(other).read(*other.info, at, std::span(theirs).first(n))
                && std::memcmp(mine.data(), theirs.data(), n) == 0;
        }
        if (isEqual)
            return "equals " + other.info->name + " in the " + where
                + (set.saysTied() ? ", tied by config" : "");
    }
    return {};
}

} // namespace desk
