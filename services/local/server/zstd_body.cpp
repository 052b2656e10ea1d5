// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/zstd_body.h"

#include <algorithm>
#include <memory>
#include <string>
#include <zstd.h>

namespace desk::local {

namespace {

    constexpr std::size_t kFirstPlainBlock = std::size_t { 256 } << 10;
    constexpr std::size_t kMaxPlainBlock = std::size_t { 16 } << 20;

    Error badBody(std::string message)
    {
        return Error { Error::Code::Malformed, std::move(message), "nothing was done", {}, {} };
    }

    struct FreeStream
    {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };

    Result<std::string> unpacked(const std::string& packed, std::size_t limit)
    {
        const std::unique_ptr<ZSTD_DStream, FreeStream> stream(ZSTD_createDStream());
        if (!stream)
            return badBody("there is no memory to decompress the body");
        ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, 27); // 128 MiB
        ZSTD_inBuffer in { packed.data(), packed.size(), 0 };
        std::string plain;
        ZSTD_outBuffer out { nullptr, 0, 0 };
        std::size_t left = 1; // 0 at the end of a frame
        do {
            if (out.pos == out.size) {
                // Grows with what the data give, so a header that promises much costs nothing.
                if (plain.size() > limit)
                    break;
                plain.resize(
                    plain.size() + std::clamp(plain.size(), kFirstPlainBlock, kMaxPlainBlock));
                out = { plain.data(), plain.size(), out.pos };
            }
            left = ZSTD_decompressStream(stream.get(), &out, &in);
            if (ZSTD_isError(left) != 0)
                return badBody(std::string("the body is not zstd: ") + ZSTD_getErrorName(left));
        } while (in.pos < in.size || out.pos == out.size);
        plain.resize(out.pos);
        if (plain.size() > limit)
            return badBody(
                "the decompressed body is larger than " + std::to_string(limit >> 20) + " MiB");
        if (left != 0)
            return badBody("the zstd body ends in the middle");
        return plain;
    }

} // namespace

Status unpackBody(HttpRequest& request, std::size_t limit)
{
    const auto encoding = request.header("Content-Encoding");
    if (encoding.empty() || equalsIgnoringCase(encoding, "identity"))
        return done();
    if (!equalsIgnoringCase(encoding, "zstd"))
        return badBody("a body in " + std::string(encoding.substr(0, 50))
            + " is not understood; zstd and identity are");
    auto plain = unpacked(request.body, limit);
    if (!plain)
        return plain.error();
    request.body = *std::move(plain);
    return done();
}

} // namespace desk::local
