// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/chain_codec.h"

#include "services/codecs/json_read.h"

namespace desk {

std::string encodeSnapshotChain(const SnapshotChain& chain, std::string_view key)
{
    Json body;
    body["key"] = std::string(key);
    body["last_loaded"] = chain.lastLoaded;
    body["deltas_since_base"] = chain.deltasSinceBase;
    body["job"] = chain.job;
    return toText(body, 2) + "\n";
}

Result<SnapshotChain> decodeSnapshotChain(std::string_view text, std::string_view key)
{
    const auto object =
        parseObject(text, "chain of snapshots", JsonLimits { std::size_t { 64 } << 10 });
    if (!object)
        return object.error();
    if (readText(*object, { "key" }) != key)
        return Error { Error::Code::NotFound,
            "The chain of snapshots belongs to another deployment", {}, {}, {} };
    const auto deltas = readSmallInt(*object, { "deltas_since_base" });
    if (!deltas || *deltas < 0 || findField(*object, { "last_loaded" }) == nullptr)
        return malformed("The chain of snapshots is incomplete");
    return SnapshotChain { readText(*object, { "last_loaded" }), *deltas,
        readText(*object, { "job" }) };
}

} // namespace desk
