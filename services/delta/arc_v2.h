// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Payloads of arc_v2 (arc-formats.md section 3): the XOR of a tensor's bytes as a zstd frame, its
// Adler-32 beside it as decimal text. Streamed; memory does not grow with the tensor.

namespace desk {

/// The checksum text of an arc delta: unsigned decimal, no leading zeros (arc-formats.md section
/// 2).
[[nodiscard]] std::string arcChecksumText(std::uint32_t adler);
/// nullopt if text is not exactly what arcChecksumText writes for some value.
[[nodiscard]] std::optional<std::uint32_t> arcChecksumFrom(std::string_view text);
/// "28b52ffd" as 8 hex digits, the spelling of reports.
[[nodiscard]] std::string hex32(std::uint32_t value);

/// Writes one payload after another: one frame with content size, no checksum, no dictionary,
/// window at most 2 MiB; equal input gives equal bytes. THREAD: one.
class ArcV2Encoder
{
public:
    using Sink = std::function<Status(std::span<const std::byte>)>;
    explicit ArcV2Encoder(int level);
    ArcV2Encoder(const ArcV2Encoder&) = delete;
    ArcV2Encoder& operator=(const ArcV2Encoder&) = delete;
    ~ArcV2Encoder();
    /// size: bytes of the tensor. sink must stay usable until finish().
    [[nodiscard]] Status begin(std::uint64_t size, Sink sink);
    /// The next bytes of the XOR.
    [[nodiscard]] Status add(std::span<const std::byte> bytes);
    /// Malformed if fewer bytes came than begin() was told.
    [[nodiscard]] Status finish();

private:
    struct Context;
    [[nodiscard]] Status pump(std::span<const std::byte> bytes, bool isLast);
    std::unique_ptr<Context> m_context;
    Sink m_sink;
};

/// Reads one payload after another. Takes any legal zstd stream (several frames, skippable frames,
/// no content size, frame checksums) with a window of at most 128 MiB; every deviation is
/// Malformed. THREAD: one.
class ArcV2Decoder
{
public:
    /// Fills all of its argument with the payload's bytes from offset.
    using Source = std::function<Status(std::uint64_t offset, std::span<std::byte>)>;
    ArcV2Decoder();
    ArcV2Decoder(ArcV2Decoder&&) noexcept;
    ArcV2Decoder& operator=(ArcV2Decoder&&) noexcept;
    ~ArcV2Decoder();
    /// name: of the tensor, for messages.
    [[nodiscard]] Status begin(std::string name, std::uint64_t payloadSize, Source source);
    /// Exactly out.size() bytes of the XOR, or Malformed.
    [[nodiscard]] Status read(std::span<std::byte> out);
    /// Malformed unless the payload is used up and its last frame complete.
    [[nodiscard]] Status finish();

private:
    struct Context;
    [[nodiscard]] Status refill();
    [[nodiscard]] Status checkMagic();
    [[nodiscard]] Status step(std::span<std::byte> out, std::size_t& produced, bool& isStuck);
    [[nodiscard]] Error malformed(const std::string& text) const;
    std::unique_ptr<Context> m_context;
};

} // namespace desk
