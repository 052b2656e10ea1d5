// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/delta/arc_v2.h"
#include "services/delta/delta_chain.h"
#include "services/delta/job_pool.h"
#include "services/delta/scan.h"

#include <functional>
#include <optional>
#include <vector>

namespace desk {

/// Rebuilds one tensor after another from a base and a chain of deltas, chunk by chunk, and checks
/// the Adler-32 after every delta. THREAD: one.
class TensorRebuilder
{
public:
    TensorRebuilder(const ScanKernels& kernels, std::size_t chainLength);
    /// onChunk(offset, n) finds the new bytes in worker.next and the old ones in worker.base. The
    /// Status is about files and payloads; whether the checksums agree: firstWrongLink().
    [[nodiscard]] Status run(const WeightTensor& tensor, const WeightSet& base,
        const std::vector<ChainLink>& links, JobWorker& worker,
        const std::function<Status(std::uint64_t, std::size_t)>& onChunk);
    /// Index of the first delta after which the checksum is not what that delta says.
    [[nodiscard]] std::optional<std::size_t> firstWrongLink() const { return m_wrongLink; }
    [[nodiscard]] std::uint64_t changed() const noexcept { return m_changed; } ///< base to newest
    [[nodiscard]] std::uint32_t checksum() const { return m_sums.back().next.value(); }
    [[nodiscard]] std::uint32_t checksumAfter(std::size_t link) const
    {
        return m_sums[link].next.value();
    }
    /// The Refused that tells of a wrong checksum.
    [[nodiscard]] Error mismatchError(
        const WeightTensor& tensor, const std::vector<ChainLink>& links, std::size_t wrong) const;

private:
    const ScanKernels& m_kernels;
    std::vector<ArcV2Decoder> m_decoders;
    std::vector<ScanTotals> m_sums;
    std::optional<std::size_t> m_wrongLink;
    std::uint64_t m_changed = 0;
};

/// Copies the files that hold no weights, of several folders into one; a later folder wins, the
/// index comes last.
[[nodiscard]] Status copyOtherFiles(
    const std::vector<const WeightSet*>& sources, const std::filesystem::path& folder);

} // namespace desk
