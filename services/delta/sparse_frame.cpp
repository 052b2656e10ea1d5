// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/sparse_frame.h"

#include <algorithm>
#include <bit>
#include <cstring>

#define ZSTD_STATIC_LINKING_ONLY // ZSTD_compressSequences
#include <zstd.h>

namespace desk {

namespace {

    constexpr std::size_t kSparseBlock = 128 * 1024; // the largest that the format has
    constexpr int kSparseWindowLog = 17; // matches reach back one byte; decoders need no more
    constexpr std::size_t kMinZeroRun = 6; // shorter runs cost less as literals
    constexpr std::uint32_t kRawBlock = 0;
    constexpr std::uint32_t kRleBlock = 1;

    /// First position from `at` whose byte is not zero.
    std::size_t skipZeros(const std::byte* bytes, std::size_t at, std::size_t n)
    {
        for (; at + 8 <= n; at += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + at, sizeof word);
            if (word != 0)
                return at + static_cast<std::size_t>(std::countr_zero(word)) / 8;
        }
        while (at < n && bytes[at] == std::byte { 0 })
            ++at;
        return at;
    }
    std::size_t skipNonZeros(const std::byte* bytes, std::size_t at, std::size_t n)
    {
        while (at < n && bytes[at] != std::byte { 0 })
            ++at;
        return at;
    }

    void appendLittleEndian(std::vector<std::byte>& out, std::uint64_t value, int bytes)
    {
        for (int i = 0; i < bytes; ++i)
            out.push_back(static_cast<std::byte>(value >> (8 * i)));
    }

    /// Magic, descriptor, window and content size (RFC 8878, section 3.1.1.1).
    std::vector<std::byte> frameHeader(std::uint64_t size)
    {
        const bool isSingleSegment = size <= kSparseBlock;
        int flag = 0;
        int width = isSingleSegment ? 1 : 0;
        if (size >= 0x1'0000'0000U) {
            flag = 3;
            width = 8;
        } else if (size >= 65'536 + 256 || (!isSingleSegment && size < 256)) {
            flag = 2;
            width = 4;
        } else if (size >= 256) {
            flag = 1;
            width = 2;
        }
        std::vector<std::byte> out;
        appendLittleEndian(out, ZSTD_MAGICNUMBER, 4);
        appendLittleEndian(
            out, static_cast<std::uint64_t>(flag << 6 | (isSingleSegment ? 0x20 : 0)), 1);
        if (!isSingleSegment)
            appendLittleEndian(out, static_cast<std::uint64_t>(kSparseWindowLog - 10) << 3, 1);
        appendLittleEndian(out, width == 2 ? size - 256 : size, width);
        return out;
    }

} // namespace

struct SparseFrameWriter::Context
{
    Context()
        : zstd(ZSTD_createCCtx())
        , frame(ZSTD_compressBound(kSparseBlock))
    {
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() { ZSTD_freeCCtx(zstd); }
    ZSTD_CCtx* zstd;
    std::vector<ZSTD_Sequence> sequences;
    std::vector<std::byte> frame; // of one block, as libzstd writes it
    std::vector<std::byte> output;
};

SparseFrameWriter::SparseFrameWriter()
    : m_context(std::make_unique<Context>())
{
}
SparseFrameWriter::~SparseFrameWriter() = default;

Status SparseFrameWriter::begin(std::uint64_t size, Sink sink)
{
    m_sink = std::move(sink);
    m_size = size;
    m_left = size;
    m_unwritten = size;
    m_pending.clear();
    auto* zstd = m_context->zstd;
    if (zstd == nullptr)
        return Error { Error::Code::OutOfMemory, "no memory for the compressor", {}, {}, {} };
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
    // The smallest tables: nothing is searched in them.
    for (const auto& [parameter, value] :
        { std::pair(ZSTD_c_compressionLevel, 1), std::pair(ZSTD_c_windowLog, kSparseWindowLog),
            std::pair(ZSTD_c_hashLog, ZSTD_HASHLOG_MIN),
            std::pair(ZSTD_c_chainLog, ZSTD_CHAINLOG_MIN),
            std::pair(ZSTD_c_strategy, static_cast<int>(ZSTD_greedy)),
            std::pair(ZSTD_c_contentSizeFlag, 0), std::pair(ZSTD_c_checksumFlag, 0),
            std::pair(ZSTD_c_blockDelimiters, static_cast<int>(ZSTD_sf_explicitBlockDelimiters)) })
        if (const auto code = ZSTD_CCtx_setParameter(zstd, parameter, value); ZSTD_isError(code))
            return Error { Error::Code::Usage,
                std::string("the compressor refused its settings: ") + ZSTD_getErrorName(code), {},
                {}, {} };
    return m_sink(frameHeader(size));
}

Status SparseFrameWriter::add(std::span<const std::byte> bytes)
{
    if (bytes.size() > m_left)
        return Error { Error::Code::Malformed, "more bytes came than were announced", {}, {}, {} };
    m_left -= bytes.size();
    while (!bytes.empty()) {
        if (m_pending.empty() && bytes.size() >= kSparseBlock) {
            if (auto written = writeBlock(bytes.first(kSparseBlock)); !written)
                return written;
            bytes = bytes.subspan(kSparseBlock);
            continue;
        }
        const auto n = std::min(bytes.size(), kSparseBlock - m_pending.size());
        m_pending.insert(
            m_pending.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
        bytes = bytes.subspan(n);
        if (m_pending.size() < kSparseBlock)
            break;
        if (auto written = writeBlock(m_pending); !written)
            return written;
        m_pending.clear();
    }
    return done();
}

Status SparseFrameWriter::finish()
{
    if (m_left > 0)
        return Error { Error::Code::Malformed, "fewer bytes came than were announced", {}, {}, {} };
    // The last block carries the mark of the end; a frame without content has one for that alone.
    if (m_unwritten > 0 || m_size == 0)
        return writeBlock(m_pending);
    return done();
}

void SparseFrameWriter::putBlockHeader(std::uint32_t type, std::size_t size, bool isLast)
{
    appendLittleEndian(m_context->output,
        (isLast ? 1U : 0U) | type << 1 | static_cast<std::uint32_t>(size) << 3, 3);
}

Status SparseFrameWriter::writeBlock(std::span<const std::byte> block)
{
    m_unwritten -= block.size();
    const bool isLast = m_unwritten == 0;
    auto& output = m_context->output;
    output.clear();
    if (!block.empty() && skipZeros(block.data(), 0, block.size()) == block.size()) {
        putBlockHeader(kRleBlock, block.size(), isLast);
        output.push_back(std::byte { 0 });
    } else if (block.empty() || !compressBlock(block)) {
        output.clear();
        putBlockHeader(kRawBlock, block.size(), isLast);
        output.insert(output.end(), block.begin(), block.end());
    } else if (isLast) {
        output.front() |= std::byte { 1 };
    }
    return m_sink(output);
}

/// Has libzstd write the block as a frame of its own and keeps the block; false: store it instead.
bool SparseFrameWriter::compressBlock(std::span<const std::byte> block)
{
    auto& c = *m_context;
    c.sequences.clear();
    std::size_t literalsFrom = 0;
    std::size_t at = 0;
    while (at < block.size()) {
        const auto zerosFrom = skipNonZeros(block.data(), at, block.size());
        at = skipZeros(block.data(), zerosFrom, block.size());
        if (at - zerosFrom < kMinZeroRun)
            continue;
        // The run's first zero is a literal: the match behind it copies it on.
        c.sequences.push_back({ 1, static_cast<unsigned>(zerosFrom + 1 - literalsFrom),
            static_cast<unsigned>(at - zerosFrom - 1), 0 });
        literalsFrom = at;
    }
    c.sequences.push_back({ 0, static_cast<unsigned>(block.size() - literalsFrom), 0, 0 });
    const auto size = ZSTD_compressSequences(c.zstd, c.frame.data(), c.frame.size(),
        c.sequences.data(), c.sequences.size(), block.data(), block.size());
    if (ZSTD_isError(size))
        return false;
    const auto headerSize = ZSTD_frameHeaderSize(c.frame.data(), size);
    if (ZSTD_isError(headerSize) || headerSize + 3 > size)
        return false;
    std::uint32_t header = 0;
    std::memcpy(&header, c.frame.data() + headerSize, 3);
    const std::size_t payload = (header >> 1 & 3) == kRleBlock ? 1 : header >> 3;
    // One block with the mark of the end, and nothing behind it.
    if ((header & 1) == 0 || headerSize + 3 + payload != size || payload >= block.size())
        return false;
    c.output.assign(c.frame.begin() + static_cast<std::ptrdiff_t>(headerSize),
        c.frame.begin() + static_cast<std::ptrdiff_t>(size));
    c.output.front() &= std::byte { 0xFE };
    return true;
}

} // namespace desk
