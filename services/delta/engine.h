// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/safetensors.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Computes, applies and proves weight deltas (base XOR delta = new), bit by bit. BASE, NEW and
// DELTA are .safetensors files or Hugging Face folders of them (shards of the same names).

namespace desk {

/// How a running job talks to its caller. Both are called between chunks, on the job's thread; both
/// may be empty.
struct JobControl
{
    std::function<bool()> isCanceled;
    std::function<void(std::uint64_t doneBytes, std::uint64_t totalBytes)>
        onProgress; ///< totalBytes > 0
};

struct DiffJob
{
    std::filesystem::path base;
    std::filesystem::path target; ///< the new weights
    std::filesystem::path output; ///< file if base is a file, else a folder that is not there yet
    int level = 3; ///< zstd level, 1 to 19
    unsigned threads = 0; ///< 0: as many as the machine has cores
};
struct ApplyJob
{
    std::filesystem::path base;
    std::vector<std::filesystem::path> deltas; ///< a chain, oldest first
    std::filesystem::path output; ///< never one of the inputs
    unsigned threads = 0;
};
struct VerifyJob
{
    std::filesystem::path base;
    std::vector<std::filesystem::path> deltas; ///< a chain, oldest first
    std::optional<std::filesystem::path> target; ///< else: against the checksums in the deltas
    unsigned threads = 0;
};
struct CompareJob
{
    std::filesystem::path base;
    std::filesystem::path target;
    unsigned threads = 0;
};
struct InspectJob
{
    std::filesystem::path path;
    bool withStatistics = true; ///< reads all bytes; false: headers only
};

/// Where the time of a job went; what has the lowest rate limits it.
struct StageThroughput
{
    std::string stage; ///< "read", "decode", "encode", "xor+adler", "compare", "write"
    std::uint64_t bytes = 0;
    double seconds = 0; ///< summed over threads
    [[nodiscard]] double bytesPerSecond() const noexcept
    {
        return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
    }
};

/// Of diff and apply.
struct DeltaReport
{
    std::string format; ///< "arc_v2"
    std::uint64_t bytesBase = 0; ///< of the weight files
    std::uint64_t bytesNew = 0;
    std::uint64_t bytesDelta = 0; ///< of all deltas of a chain
    double ratio = 0; ///< bytesNew / bytesDelta
    double changedFraction = 0; ///< of elements
    std::uint64_t changed = 0;
    std::uint64_t elements = 0;
    std::uint64_t tensors = 0;
    double seconds = 0;
    std::string device; ///< "cpu"
    std::string kernel; ///< "avx2", "scalar"
    std::vector<StageThroughput> stages;
    std::vector<std::string> warnings;
};

enum class TensorStatus
{
    Exact,
    Mismatch,
    Missing, ///< in the base or target, not on the other side
    Extra,
    NotChecked
};
[[nodiscard]] const char* toString(TensorStatus status) noexcept; ///< "exact", "not_checked", …

struct TensorRow
{
    std::string name;
    Dtype dtype = Dtype::U8;
    std::vector<std::uint64_t> shape;
    std::uint64_t bytes = 0;
    std::uint64_t elements = 0;
    std::uint64_t changed =
        0; ///< elements whose bits differ from the base; unknown if checksum is empty
    std::optional<double> changedFraction; ///< unknown for a tensor without elements
    std::optional<double> maxAbsDelta; ///< floats only; over elements finite on both sides
    std::optional<double> l2Delta; ///< as above
    std::optional<std::uint64_t> nonFinite; ///< NaN and infinities in the new tensor; floats only
    std::string
        checksum; ///< Adler-32 of the new bytes, 8 lower-case hex digits; empty: not computed
    TensorStatus status = TensorStatus::NotChecked;
    std::string note; ///< one sentence, may be empty
};

struct Mismatch
{
    std::string tensor;
    std::optional<std::uint64_t> element; ///< index; nullopt: only the checksum tells
    std::optional<std::uint64_t> byteOffset; ///< within the tensor
    std::string base; ///< the element's bytes as hex, in file order; empty if unknown
    std::string expected; ///< bytes as hex, or the checksum
    std::string found;
};

enum class Verdict
{
    Exact,
    Mismatch,
    Partial ///< nothing differs, but not everything was checked
};
[[nodiscard]] const char* toString(Verdict verdict) noexcept;

struct TensorCounts
{
    std::uint64_t total = 0, exact = 0, mismatch = 0, missing = 0, extra = 0, notChecked = 0;
};

/// Of verify and compare. Rows in the order of the base's files.
struct VerifyReport
{
    Verdict verdict = Verdict::Partial;
    TensorCounts counts;
    std::optional<Mismatch> firstMismatch; ///< in row order
    std::uint64_t bytes = 0; ///< of new weights that were checked
    std::uint64_t bytesBase = 0; ///< of the weight files
    std::uint64_t bytesNew = 0;
    std::uint64_t bytesDelta = 0; ///< 0 for compare
    double ratio = 0; ///< bytesNew / bytesDelta; 0 for compare
    double changedFraction = 0;
    double seconds = 0;
    std::string device;
    std::string kernel;
    std::vector<std::string> added, removed, reshaped; ///< tensor names, compare and target
    std::vector<TensorRow> rows;
    std::vector<StageThroughput> stages;
    std::vector<std::string> warnings;
};

struct TensorSummary
{
    TensorInfo info; ///< of a delta: the payload
    std::string file; ///< name of the shard; empty for a single file
    std::optional<double> min, max, mean, rms; ///< of finite values; floats only
    std::optional<std::uint64_t> nonFinite, zeros; ///< floats only
    std::string checksum; ///< Adler-32, 8 hex digits; of a delta: the text it carries
};
struct InspectReport
{
    std::string kind; ///< "weights", "delta" or "unknown"
    std::string format; ///< "safetensors", "arc_v2", …
    std::filesystem::path realPath; ///< where links lead to
    std::vector<TensorSummary> tensors;
    std::vector<FileProblem> problems; ///< empty: sound
    std::uint64_t bytes = 0;
};

/// Computes and checks weight deltas; CPU or CUDA.
/// THREAD: the one that opened it, and no other. Calls block until done, failed or canceled.
/// ERRORS: Unreadable and Malformed name the file; Refused: well-formed inputs that do not belong
/// together; Conflict: the output exists or is an input; Full, Canceled: nothing is left under the
/// output's name. Code::Backend means the device is lost for this process: discard the engine, open
/// a CPU one.
class DeltaEngine
{
public:
    DeltaEngine(const DeltaEngine&) = delete;
    DeltaEngine& operator=(const DeltaEngine&) = delete;
    virtual ~DeltaEngine() = default;
    [[nodiscard]] virtual std::string deviceName() const = 0; ///< "cpu"
    [[nodiscard]] virtual std::string kernelName() const = 0; ///< "avx2"
    /// Device, kernel and why it is this one, for people: "CPU · AVX2 (built without CUDA)".
    [[nodiscard]] virtual std::string description() const = 0;
    /// Writes arc_v2: one delta file per base file, same names; other files come from the new
    /// folder.
    virtual Result<DeltaReport> diff(const DiffJob& job, const JobControl& control) = 0;
    /// Builds beside the output, checks every tensor's checksum, renames.
    virtual Result<DeltaReport> apply(const ApplyJob& job, const JobControl& control) = 0;
    virtual Result<VerifyReport> verify(const VerifyJob& job, const JobControl& control) = 0;
    virtual Result<VerifyReport> compare(const CompareJob& job, const JobControl& control) = 0;
    /// A broken file is a report with problems; Error only for what cannot be opened at all.
    virtual Result<InspectReport> inspect(const InspectJob& job, const JobControl& control) = 0;

protected:
    DeltaEngine() = default;
};

enum class DevicePolicy
{
    PreferCuda,
    CpuOnly
};
/// PreferCuda: the CUDA engine if it was compiled in and a device answers, else the CPU engine.
[[nodiscard]] Result<std::unique_ptr<DeltaEngine>> openDeltaEngine(DevicePolicy policy);

} // namespace desk
