// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/arc_v2.h"
#include "services/delta/cpu_engine.h"
#include "services/delta/delta_chain.h"
#include "services/delta/float_delta.h"

#include <algorithm>
#include <cmath>

namespace desk {

namespace {

    Status summarizeTensor(const WeightSet& set, const WeightTensor& tensor,
        const ScanKernels& kernels, JobWorker& worker, TensorSummary& summary)
    {
        FloatSummary floats;
        Adler32 sum;
        const std::uint64_t size = tensor.info->byteCount();
        for (std::uint64_t at = 0; at < size; at += kChunkBytes) {
            const auto n =
                static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, size - at));
            auto status = worker.timed(Stage::Read, n, [&] {
                return set.fileOf(tensor).read(*tensor.info, at, std::span(worker.base).first(n));
            });
            if (!status)
                return status;
            kernels.adler(worker.base.data(), n, sum);
            summarize(tensor.info->dtype, worker.base.data(), n, floats);
            if (auto stepped = worker.step(n); !stepped)
                return stepped;
        }
        summary.checksum = hex32(sum.value());
        if (!isMeasuredFloat(tensor.info->dtype))
            return done();
        summary.nonFinite = floats.nonFinite;
        summary.zeros = floats.zeros;
        if (floats.finite == 0)
            return done();
        const auto count = static_cast<double>(floats.finite);
        summary.min = floats.min;
        summary.max = floats.max;
        summary.mean = floats.sum / count;
        summary.rms = std::sqrt(floats.sumSquares / count);
        return done();
    }

    void listTensors(const WeightSet& set, bool isDelta, InspectReport& report)
    {
        for (const auto& tensor : set.tensors()) {
            TensorSummary summary;
            summary.info = *tensor.info;
            if (set.isFolder())
                summary.file = set.shards()[tensor.shard].name;
            if (isDelta)
                summary.checksum = set.fileOf(tensor).header().metadata.at(tensor.info->name);
            report.tensors.push_back(std::move(summary));
        }
    }

} // namespace

Result<InspectReport> CpuEngine::inspect(const InspectJob& job, const JobControl& control)
{
    return withoutExceptions([&]() -> Result<InspectReport> {
        InspectReport report;
        report.kind = "unknown";
        report.format = "safetensors";
        std::error_code code;
        report.realPath = std::filesystem::weakly_canonical(job.path, code);
        const auto set = WeightSet::open(job.path, WeightSet::Shorts::Allow, &report.problems);
        if (!set) {
            if (report.problems.empty() || set.error().code != Error::Code::Malformed)
                return set.error();
            return report;
        }
        const bool isDelta = looksLikeArcV2(*set);
        report.kind = isDelta ? "delta" : "weights";
        report.format = isDelta ? "arc_v2" : "safetensors";
        report.bytes = set->fileBytes();
        listTensors(*set, isDelta, report);
        if (isDelta || !job.withStatistics)
            return report;
        std::uint64_t total = 0;
        for (const auto& tensor : set->tensors())
            total += tensor.info->byteCount();
        JobPool pool(control, total, 0);
        auto read = pool.run(set->tensors().size(), [&](std::size_t i, JobWorker& worker) {
            const auto& tensor = set->tensors()[i];
            return tensor.isCut
                ? worker.step(tensor.info->byteCount())
                : summarizeTensor(*set, tensor, m_kernels, worker, report.tensors[i]);
        });
        if (!read)
            return read.error();
        return report;
    });
}

} // namespace desk
