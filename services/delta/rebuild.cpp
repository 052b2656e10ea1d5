// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/rebuild.h"

#include <algorithm>

namespace desk {

TensorRebuilder::TensorRebuilder(const ScanKernels& kernels, std::size_t chainLength)
    : m_kernels(kernels)
    , m_decoders(chainLength)
{
}

Status TensorRebuilder::run(const WeightTensor& tensor, const WeightSet& base,
    const std::vector<ChainLink>& links, JobWorker& worker,
    const std::function<Status(std::uint64_t, std::size_t)>& onChunk)
{
    m_sums.assign(links.size(), {});
    m_wrongLink.reset();
    m_changed = 0;
    for (std::size_t i = 0; i < links.size(); ++i)
        if (auto begun = m_decoders[i].begin(tensor.info->name, links[i].payload->byteCount(),
                [link = links[i]](std::uint64_t offset, std::span<std::byte> out) {
                    return link.file->read(*link.payload, offset, out);
                });
            !begun)
            return begun;
    const auto unit = scanUnitOf(tensor.info->dtype);
    ScanTotals whole;
    const std::uint64_t size = tensor.info->byteCount();
    for (std::uint64_t at = 0; at < size; at += kChunkBytes) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, size - at));
        auto status = worker.timed(Stage::Read, n, [&] {
            return base.fileOf(tensor).read(*tensor.info, at, std::span(worker.base).first(n));
        });
        const std::byte* old = worker.base.data();
        for (std::size_t i = 0; status && i < links.size(); ++i) {
            status = worker.timed(Stage::Decode, n,
                [&] { return m_decoders[i].read(std::span(worker.delta).first(n)); });
            if (!status)
                break;
            worker.timed(Stage::Xor, n, [&] {
                m_kernels.applyXor(
                    old, worker.delta.data(), worker.next.data(), n, unit, m_sums[i]);
                return 0;
            });
            old = worker.next.data();
        }
        if (!status)
            return status;
        if (links.size() > 1) // what later deltas took back did not change
            m_kernels.scan(worker.base.data(), worker.next.data(), nullptr, n, unit, whole);
        if (auto handled = onChunk(at, n); !handled)
            return handled;
        if (auto stepped = worker.step(n); !stepped)
            return stepped;
    }
    for (std::size_t i = 0; i < links.size(); ++i) {
        if (auto finished = m_decoders[i].finish(); !finished)
            return finished;
        if (!m_wrongLink && m_sums[i].next.value() != links[i].checksum)
            m_wrongLink = i;
    }
    m_changed = links.size() > 1 ? whole.changed : m_sums.front().changed;
    return done();
}

Error TensorRebuilder::mismatchError(
    const WeightTensor& tensor, const std::vector<ChainLink>& links, std::size_t wrong) const
{
    return { Error::Code::Refused,
        "tensor " + tensor.info->name + " has the Adler-32 " + arcChecksumText(checksumAfter(wrong))
            + " after " + links[wrong].file->path().filename().string() + ", which says "
            + arcChecksumText(links[wrong].checksum)
            + ": the base is not this delta's parent, or one of them is damaged",
        "no output was left", "check the parent, or publish a full snapshot", {} };
}

} // namespace desk
