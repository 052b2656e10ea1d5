// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/delta_chain.h"

#include "services/delta/arc_v2.h"

#include <array>
#include <cstring>

namespace desk {

namespace {

    Error chainRefused(const std::string& message)
    {
        return { Error::Code::Refused, message, "nothing was written",
            "check which base the delta was made for, or publish a full snapshot", {} };
    }
    Error chainMalformed(const std::filesystem::path& path, const std::string& message)
    {
        return { Error::Code::Malformed, path.filename().string() + ": " + message,
            "nothing was written", "get the delta again, or publish a full snapshot", {} };
    }
    bool isPayloadType(Dtype dtype)
    {
        return dtype == Dtype::U8 || dtype == Dtype::I8;
    }

} // namespace

Result<DeltaChain> DeltaChain::open(
    const WeightSet& base, const std::vector<std::filesystem::path>& deltas)
{
    if (deltas.empty())
        return Error { Error::Code::Usage, "there is no delta to work with", "nothing was written",
            "name at least one", {} };
    DeltaChain chain;
    chain.m_links.resize(base.tensors().size());
    chain.m_sets.reserve(deltas.size());
    for (const auto& path : deltas)
        if (auto added = chain.add(base, path); !added)
            return added.error();
    return chain;
}

Status DeltaChain::add(const WeightSet& base, const std::filesystem::path& path)
{
    auto opened = WeightSet::open(path, WeightSet::Shorts::Refuse);
    if (!opened)
        return opened.error();
    if (opened->isFolder() != base.isFolder())
        return chainRefused(base.isFolder()
                ? "the base is a folder, but " + path.string() + " is a file"
                : "the base is a file, but " + path.string() + " is a folder");
    m_sets.push_back(*std::move(opened));
    const auto& set = m_sets.back();
    for (std::size_t i = 0; i < base.tensors().size(); ++i) {
        const auto& old = base.tensors()[i];
        const auto* tensor = set.find(old.info->name);
        if (tensor == nullptr) {
            m_missing.push_back(old.info->name);
            continue;
        }
        const auto& file = set.fileOf(*tensor);
        const auto& shard = set.shards()[tensor->shard].name;
        if (base.isFolder() && shard != base.shards()[old.shard].name)
            return chainRefused("tensor " + old.info->name + " stands in "
                + base.shards()[old.shard].name + " of the base, but in " + shard
                + " of the delta");
        if (!isPayloadType(tensor->info->dtype))
            return chainMalformed(file.path(),
                "the payload of tensor " + old.info->name + " is typed "
                    + toString(tensor->info->dtype) + ", not U8: this is no arc_v2 delta");
        const auto& metadata = file.header().metadata;
        const auto text = metadata.find(old.info->name);
        if (text == metadata.end())
            return chainMalformed(file.path(), "there is no checksum for tensor " + old.info->name);
        const auto checksum = arcChecksumFrom(text->second);
        if (!checksum)
            return chainMalformed(file.path(),
                "the checksum of tensor " + old.info->name + ", \"" + text->second.substr(0, 40)
                    + "\", is not an Adler-32 in decimal digits");
        m_links[i].push_back({ &file, tensor->info, *checksum });
    }
    for (const auto& tensor : set.tensors())
        if (base.find(tensor.info->name) == nullptr)
            m_extra.push_back(tensor.info->name);
    return done();
}

std::uint64_t DeltaChain::fileBytes() const noexcept
{
    std::uint64_t bytes = 0;
    for (const auto& set : m_sets)
        bytes += set.fileBytes();
    return bytes;
}

Status DeltaChain::checkComplete() const
{
    if (!m_extra.empty())
        return chainRefused("the delta has tensor " + m_extra.front()
            + ", which the base does not have (" + std::to_string(m_extra.size()) + " in all)");
    if (!m_missing.empty())
        return chainRefused("the delta lacks tensor " + m_missing.front() + ", which the base has ("
            + std::to_string(m_missing.size()) + " in all)");
    return done();
}

bool looksLikeArcV2(const WeightSet& set)
{
    if (set.tensors().empty())
        return false;
    for (const auto& tensor : set.tensors()) {
        const auto& file = set.fileOf(tensor);
        const auto text = file.header().metadata.find(tensor.info->name);
        std::array<std::byte, 4> start {};
        if (!isPayloadType(tensor.info->dtype) || text == file.header().metadata.end()
            || !arcChecksumFrom(text->second) || tensor.info->byteCount() < start.size()
            || !file.read(*tensor.info, 0, start))
            return false;
        std::uint32_t magic = 0;
        std::memcpy(&magic, start.data(), sizeof magic);
        if (magic != 0xFD2FB528U && (magic & 0xFFFFFFF0U) != 0x184D2A50U)
            return false;
    }
    return true;
}

} // namespace desk
