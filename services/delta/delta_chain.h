// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/weight_set.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace desk {

/// One delta's share in one tensor.
struct ChainLink
{
    const SafetensorsFile* file = nullptr;
    const TensorInfo* payload = nullptr;
    std::uint32_t checksum = 0; ///< Adler-32 that the tensor has after this delta
};

/// arc_v2 deltas, oldest first, laid over the tensors of a base. The base must outlive it.
class DeltaChain
{
public:
    /// Malformed: a file is no arc_v2 delta (checksum absent or not its decimal text, payload not
    /// bytes). Refused: file and folder mixed, or a tensor in another shard than in the base.
    [[nodiscard]] static Result<DeltaChain> open(
        const WeightSet& base, const std::vector<std::filesystem::path>& deltas);

    /// Links of base.tensors()[index], oldest first; fewer than length() if a delta lacks it.
    [[nodiscard]] const std::vector<ChainLink>& links(std::size_t index) const
    {
        return m_links[index];
    }
    [[nodiscard]] std::size_t length() const noexcept { return m_sets.size(); }
    [[nodiscard]] std::uint64_t fileBytes() const noexcept;
    /// Tensors of the base that a delta lacks, and tensors of deltas that the base lacks.
    [[nodiscard]] const std::vector<std::string>& missing() const noexcept { return m_missing; }
    [[nodiscard]] const std::vector<std::string>& extra() const noexcept { return m_extra; }
    /// Refused, if anything is missing or extra.
    [[nodiscard]] Status checkComplete() const;
    [[nodiscard]] const WeightSet& newest() const { return m_sets.back(); }

private:
    DeltaChain() = default;
    [[nodiscard]] Status add(const WeightSet& base, const std::filesystem::path& path);
    std::vector<WeightSet> m_sets;
    std::vector<std::vector<ChainLink>> m_links;
    std::vector<std::string> m_missing;
    std::vector<std::string> m_extra;
};

/// True if every tensor of the set is a U8 list with a decimal Adler-32 in the metadata and begins
/// as a zstd frame.
[[nodiscard]] bool looksLikeArcV2(const WeightSet& set);

} // namespace desk
