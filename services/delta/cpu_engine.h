// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/engine.h"
#include "services/delta/job_pool.h"
#include "services/delta/scan.h"
#include "services/delta/weight_set.h"

#include <string>

namespace desk {

/// The engine that needs nothing but a processor.
class CpuEngine final : public DeltaEngine
{
public:
    /// reason: why it is this engine, e.g. "built without CUDA"; shown to people.
    CpuEngine(const ScanKernels& kernels, std::string reason);
    [[nodiscard]] std::string deviceName() const override { return "cpu"; }
    [[nodiscard]] std::string kernelName() const override { return m_kernels.name; }
    [[nodiscard]] std::string description() const override;
    Result<DeltaReport> diff(const DiffJob& job, const JobControl& control) override;
    Result<DeltaReport> apply(const ApplyJob& job, const JobControl& control) override;
    Result<VerifyReport> verify(const VerifyJob& job, const JobControl& control) override;
    Result<VerifyReport> compare(const CompareJob& job, const JobControl& control) override;
    Result<InspectReport> inspect(const InspectJob& job, const JobControl& control) override;

private:
    const ScanKernels& m_kernels;
    std::string m_reason;
};

// What the jobs share.

/// Runs f; an exception becomes OutOfMemory or Backend.
template <class F>
auto withoutExceptions(F f) -> decltype(f())
try {
    return f();
} catch (const std::bad_alloc&) {
    return Error { Error::Code::OutOfMemory, "there is not enough memory for the job",
        "no output was left", "use fewer threads", {} };
} catch (const std::exception& error) {
    return Error { Error::Code::Backend, error.what(), "no output was left", {}, {} };
}

/// Conflict if output is one of the inputs or lies in one; Refused inside a hub cache.
[[nodiscard]] Status checkOutput(
    const std::filesystem::path& output, const std::vector<std::filesystem::path>& inputs);
/// Copies a file that holds no weights; fsynced.
[[nodiscard]] Status copySmallFile(
    const std::filesystem::path& from, const std::filesystem::path& to);
/// "[4,8]"
[[nodiscard]] std::string shapeText(const std::vector<std::uint64_t>& shape);
/// Fraction, or 0 of nothing.
[[nodiscard]] double fractionOf(std::uint64_t part, std::uint64_t whole) noexcept;
/// The element at the first of n bytes where expected and found differ; nullopt if none does.
/// offset: of the n bytes within the tensor.
[[nodiscard]] std::optional<Mismatch> firstDifference(const TensorInfo& tensor,
    std::uint64_t offset, const std::byte* base, const std::byte* expected, const std::byte* found,
    std::size_t n);
/// Fills counts, firstMismatch, verdict, bytes and changedFraction from rows.
void concludeVerify(VerifyReport& report, const std::vector<std::optional<Mismatch>>& mismatches);
/// "equals model.embed_tokens.weight in the base" for a tensor that another of the set repeats;
/// empty if none does.
[[nodiscard]] std::string twinNote(
    const WeightSet& set, const WeightTensor& tensor, const std::string& where);

} // namespace desk
