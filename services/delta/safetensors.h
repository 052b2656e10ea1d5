// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/dtype.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

// The safetensors container: u64le N, N bytes of JSON, data. The reader enforces every rule of
// weight-delta.md section 4; what it accepted has no holes, no overlaps, no tail and no lies.

namespace desk {

struct TensorInfo
{
    std::string name;
    Dtype dtype = Dtype::U8;
    std::vector<std::uint64_t> shape; ///< logical; empty for a scalar
    std::uint64_t begin = 0; ///< bytes from the start of the data section
    std::uint64_t end = 0;
    [[nodiscard]] std::uint64_t byteCount() const noexcept { return end - begin; }
    /// Product of the shape; cannot overflow in an accepted header.
    [[nodiscard]] std::uint64_t elementCount() const noexcept;
    bool operator==(const TensorInfo&) const = default;
};

/// An accepted header.
struct SafetensorsHeader
{
    std::vector<TensorInfo> tensors; ///< ascending by begin; empty tensors stand before others
    std::map<std::string, std::string> metadata;
    std::uint64_t dataStart = 0; ///< 8 + N: offset of the data section in the file
    std::uint64_t dataSize = 0;
    /// nullptr if there is none. Logarithmic.
    [[nodiscard]] const TensorInfo* find(std::string_view name) const;

    std::map<std::string, std::size_t, std::less<>> byName; ///< index into tensors
};

/// What is wrong with a file, in the words of `trainerdesk-delta inspect`.
struct FileProblem
{
    std::string code; ///< stable, e.g. "duplicate_name", "hole", "tail", "short_shard"
    std::string file; ///< name of the shard; empty for a single file
    std::string tensor; ///< empty if it concerns none
    std::optional<std::uint64_t> offset; ///< in the file
    std::string message;
    bool operator==(const FileProblem&) const = default;
};

inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000; ///< of the format

/// Checks a header. start: at least the first 8 + N bytes of the file (or the whole of a file that
/// is shorter); fileSize: bytes of the file. On failure Malformed, and *problem says where.
/// isShortAllowed: a file that ends before its last tensor is accepted, for listing what it lacks.
[[nodiscard]] Result<SafetensorsHeader> parseSafetensorsHeader(std::span<const std::byte> start,
    std::uint64_t fileSize, FileProblem* problem = nullptr, bool isShortAllowed = false);

/// An open file with an accepted header. Move-only; closes by itself.
/// THREAD: any; read() and bytes() may be called from several threads at once.
class SafetensorsFile
{
public:
    [[nodiscard]] static Result<SafetensorsFile> open(const std::filesystem::path& path,
        FileProblem* problem = nullptr, bool isShortAllowed = false);
    SafetensorsFile(SafetensorsFile&&) noexcept;
    SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
    ~SafetensorsFile();

    [[nodiscard]] const std::filesystem::path& path() const noexcept;
    [[nodiscard]] const SafetensorsHeader& header() const noexcept;
    [[nodiscard]] std::uint64_t fileSize() const noexcept;
    /// Copies out.size() bytes at offset of the tensor. A file that shrank meanwhile is Unreadable,
    /// never a crash: use this for files that somebody else may write.
    [[nodiscard]] Status read(
        const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;
    /// Copies raw bytes of the file, header included.
    [[nodiscard]] Status readRaw(std::uint64_t offset, std::span<std::byte> out) const;
    /// The tensor's bytes in a private mapping of the file that lives as long as this object; not
    /// aligned. Only for files that nobody truncates meanwhile (a read behind the end of a shrunken
    /// file raises SIGBUS). Empty span if the file cannot be mapped.
    [[nodiscard]] std::span<const std::byte> bytes(const TensorInfo& tensor) const;

private:
    struct State;
    explicit SafetensorsFile(std::unique_ptr<State> state);
    std::unique_ptr<State> m_state;
};

/// A tensor to be written; data must stay alive during the call.
struct TensorView
{
    std::string name;
    Dtype dtype = Dtype::U8;
    std::vector<std::uint64_t> shape;
    std::span<const std::byte> data;
};

/// Writes path: a temporary file beside it, fsync, rename, fsync of the folder. Equal input gives
/// equal bytes; order as the reference writer's (descending element size, then name). On failure
/// nothing is left behind and an old file stays as it is. Codes: Malformed (sizes do not fit, a
/// name twice), Full (no space), Unreadable.
[[nodiscard]] Status writeSafetensors(const std::filesystem::path& path,
    std::span<const TensorView> tensors, const std::map<std::string, std::string>& metadata = {});

/// The header bytes (length prefix included, padded with blanks to a multiple of 8) for tensors
/// whose begin and end are set. What parseSafetensorsHeader accepts comes back equal.
[[nodiscard]] std::string formatSafetensorsHeader(
    std::span<const TensorInfo> tensors, const std::map<std::string, std::string>& metadata);

} // namespace desk
