// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/arc_v2.h"

#include "services/delta/sparse_frame.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <zstd.h>

namespace desk {

namespace {

    constexpr int kArcWindowLog = 21; // of the reference writer; readers may rely on it
    constexpr int kMaxReadWindowLog = 27; // arc-formats.md section 5.4: defense against bombs
    constexpr int kMaxSparseLevel = 3;
    constexpr std::size_t kArcBuffer = 128 * 1024;

} // namespace

std::string arcChecksumText(std::uint32_t adler)
{
    return std::to_string(adler);
}

std::optional<std::uint32_t> arcChecksumFrom(std::string_view text)
{
    std::uint32_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || arcChecksumText(value) != text)
        return std::nullopt;
    return value;
}

std::string hex32(std::uint32_t value)
{
    char text[9];
    std::snprintf(text, sizeof text, "%08x", value);
    return text;
}

struct ArcV2Encoder::Context
{
    explicit Context(int compressionLevel)
        : zstd(ZSTD_createCCtx())
        , level(compressionLevel)
        , output(kArcBuffer)
    {
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() { ZSTD_freeCCtx(zstd); }
    ZSTD_CCtx* zstd;
    int level;
    std::vector<std::byte> output;
    SparseFrameWriter sparse;
    [[nodiscard]] bool isSparse() const { return level <= kMaxSparseLevel; }
};

ArcV2Encoder::ArcV2Encoder(int level)
    : m_context(std::make_unique<Context>(level))
{
}
ArcV2Encoder::~ArcV2Encoder() = default;

Status ArcV2Encoder::begin(std::uint64_t size, Sink sink)
{
    if (m_context->isSparse())
        return m_context->sparse.begin(size, std::move(sink));
    m_sink = std::move(sink);
    auto* zstd = m_context->zstd;
    if (zstd == nullptr)
        return Error { Error::Code::OutOfMemory, "no memory for the compressor", {}, {}, {} };
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
    for (const auto code :
        { ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, m_context->level),
            ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, kArcWindowLog),
            ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 1),
            ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0),
            ZSTD_CCtx_setPledgedSrcSize(zstd, size) })
        if (ZSTD_isError(code))
            return Error { Error::Code::Usage,
                std::string("the compressor refused its settings: ") + ZSTD_getErrorName(code), {},
                {}, {} };
    return done();
}

Status ArcV2Encoder::pump(std::span<const std::byte> bytes, bool isLast)
{
    ZSTD_inBuffer input { bytes.data(), bytes.size(), 0 };
    for (;;) {
        ZSTD_outBuffer output { m_context->output.data(), m_context->output.size(), 0 };
        const auto rest = ZSTD_compressStream2(
            m_context->zstd, &output, &input, isLast ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(rest))
            return Error { Error::Code::Malformed,
                std::string("cannot compress: ") + ZSTD_getErrorName(rest), {}, {}, {} };
        if (output.pos > 0)
            if (auto sent = m_sink(std::span(m_context->output).first(output.pos)); !sent)
                return sent;
        if (isLast ? rest == 0 : input.pos == input.size)
            return done();
    }
}

Status ArcV2Encoder::add(std::span<const std::byte> bytes)
{
    return m_context->isSparse() ? m_context->sparse.add(bytes) : pump(bytes, false);
}

Status ArcV2Encoder::finish()
{
    return m_context->isSparse() ? m_context->sparse.finish() : pump({}, true);
}

struct ArcV2Decoder::Context
{
    Context()
        : zstd(ZSTD_createDCtx())
        , buffer(kArcBuffer)
    {
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() { ZSTD_freeDCtx(zstd); }

    ZSTD_DCtx* zstd;
    std::vector<std::byte> buffer;
    std::size_t used = 0; // of buffer
    std::size_t filled = 0;
    Source source;
    std::string name;
    std::uint64_t offset = 0; // of the payload, behind what buffer holds
    std::uint64_t size = 0;
    bool isAtFrameStart = true;
    bool hasFrame = false;
    [[nodiscard]] bool isInputDone() const { return used == filled && offset == size; }
};

ArcV2Decoder::ArcV2Decoder()
    : m_context(std::make_unique<Context>())
{
}
ArcV2Decoder::ArcV2Decoder(ArcV2Decoder&&) noexcept = default;
ArcV2Decoder& ArcV2Decoder::operator=(ArcV2Decoder&&) noexcept = default;
ArcV2Decoder::~ArcV2Decoder() = default;

Error ArcV2Decoder::malformed(const std::string& text) const
{
    return { Error::Code::Malformed, "the payload of tensor " + m_context->name + " " + text,
        "nothing was written", "get the delta again, or publish a full snapshot", {} };
}

Status ArcV2Decoder::begin(std::string name, std::uint64_t payloadSize, Source source)
{
    auto& c = *m_context;
    if (c.zstd == nullptr)
        return Error { Error::Code::OutOfMemory, "no memory for the decompressor", {}, {}, {} };
    ZSTD_DCtx_reset(c.zstd, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(c.zstd, ZSTD_d_windowLogMax, kMaxReadWindowLog);
    c.used = c.filled = 0;
    c.source = std::move(source);
    c.name = std::move(name);
    c.offset = 0;
    c.size = payloadSize;
    c.isAtFrameStart = true;
    c.hasFrame = false;
    return done();
}

/// Moves the rest to the front and fills the buffer up.
Status ArcV2Decoder::refill()
{
    auto& c = *m_context;
    std::memmove(c.buffer.data(), c.buffer.data() + c.used, c.filled - c.used);
    c.filled -= c.used;
    c.used = 0;
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(c.buffer.size() - c.filled, c.size - c.offset));
    if (auto got = c.source(c.offset, std::span(c.buffer).subspan(c.filled, count)); !got)
        return got;
    c.filled += count;
    c.offset += count;
    return done();
}

/// libzstd may have been built with decoders of formats older than RFC 8878: only the frames of
/// that one are let in.
Status ArcV2Decoder::checkMagic()
{
    auto& c = *m_context;
    if (c.filled - c.used < 4 && c.offset < c.size)
        if (auto got = refill(); !got)
            return got;
    std::uint32_t magic = 0;
    if (c.filled - c.used < sizeof magic)
        return malformed("ends inside a zstd frame");
    std::memcpy(&magic, c.buffer.data() + c.used, sizeof magic);
    const bool isSkippable = (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
    if (magic != ZSTD_MAGICNUMBER && !isSkippable)
        return malformed(c.hasFrame ? "has bytes after its zstd frame" : "is not a zstd frame");
    c.hasFrame = c.hasFrame || !isSkippable;
    c.isAtFrameStart = false;
    return done();
}

/// Decodes into out as far as one call goes. isStuck: nothing moved although there was room.
Status ArcV2Decoder::step(std::span<std::byte> out, std::size_t& produced, bool& isStuck)
{
    auto& c = *m_context;
    if (c.used == c.filled && c.offset < c.size)
        if (auto got = refill(); !got)
            return got;
    if (c.isAtFrameStart && !c.isInputDone())
        if (auto checked = checkMagic(); !checked)
            return checked;
    ZSTD_inBuffer input { c.buffer.data(), c.filled, c.used };
    ZSTD_outBuffer output { out.data(), out.size(), 0 };
    const auto rest = ZSTD_decompressStream(c.zstd, &output, &input);
    if (ZSTD_isError(rest))
        return malformed(std::string("is damaged: ") + ZSTD_getErrorName(rest));
    isStuck = output.pos == 0 && input.pos == c.used;
    c.used = input.pos;
    produced = output.pos;
    c.isAtFrameStart = rest == 0;
    return done();
}

Status ArcV2Decoder::read(std::span<std::byte> out)
{
    while (!out.empty()) {
        if (m_context->isInputDone() && m_context->isAtFrameStart)
            return malformed("is shorter than the tensor");
        std::size_t produced = 0;
        bool isStuck = false;
        if (auto stepped = step(out, produced, isStuck); !stepped)
            return stepped;
        if (isStuck && m_context->isInputDone())
            return malformed("ends inside a zstd frame");
        out = out.subspan(produced);
    }
    return done();
}

Status ArcV2Decoder::finish()
{
    auto& c = *m_context;
    while (!(c.isInputDone() && c.isAtFrameStart)) {
        std::byte extra {};
        std::size_t produced = 0;
        bool isStuck = false;
        if (auto stepped = step({ &extra, 1 }, produced, isStuck); !stepped)
            return stepped;
        if (produced > 0)
            return malformed("is longer than the tensor");
        if (isStuck && c.isInputDone())
            return malformed("ends inside a zstd frame");
    }
    if (!c.hasFrame)
        return malformed("holds no zstd frame");
    return done();
}

} // namespace desk
