// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace desk {

/// Writes mostly zero bytes as one zstd frame (RFC 8878) without looking for matches: every run of
/// zeros is a match of offset 1, every block without a set bit four bytes. The blocks come out of
/// libzstd's entropy coder one by one; since no sequence has another offset and none lacks
/// literals, the decoder's repeated offsets stay those of a frame's start, and the blocks fit
/// together. Equal input gives equal bytes, however it is cut. THREAD: one.
class SparseFrameWriter
{
public:
    using Sink = std::function<Status(std::span<const std::byte>)>;
    SparseFrameWriter();
    SparseFrameWriter(const SparseFrameWriter&) = delete;
    SparseFrameWriter& operator=(const SparseFrameWriter&) = delete;
    ~SparseFrameWriter();
    /// size: bytes of the content, which the frame states.
    [[nodiscard]] Status begin(std::uint64_t size, Sink sink);
    [[nodiscard]] Status add(std::span<const std::byte> bytes);
    /// Malformed if fewer bytes came than begin() was told.
    [[nodiscard]] Status finish();

private:
    struct Context;
    [[nodiscard]] Status writeBlock(std::span<const std::byte> block);
    [[nodiscard]] bool compressBlock(std::span<const std::byte> block);
    void putBlockHeader(std::uint32_t type, std::size_t size, bool isLast);
    std::unique_ptr<Context> m_context;
    Sink m_sink;
    std::uint64_t m_size = 0;
    std::uint64_t m_left = 0; ///< bytes still to come
    std::uint64_t m_unwritten = 0; ///< bytes not yet in a block
    std::vector<std::byte> m_pending; ///< less than a block
};

} // namespace desk
