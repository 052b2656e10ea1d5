// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/arc_v2.h"
#include "services/delta/cpu_engine.h"
#include "services/delta/output_file.h"
#include "services/delta/rebuild.h"

#include <algorithm>
#include <chrono>
#include <deque>

namespace desk {

namespace {

    /// Where a worker put a finished payload.
    struct StoredPayload
    {
        unsigned worker = 0;
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        std::uint32_t checksum = 0; ///< Adler-32 of the new tensor
        std::uint64_t changed = 0;
    };

    /// What one thread of a diff needs besides its buffers.
    struct DiffTools
    {
        DiffTools(int level, ScratchFile file)
            : encoder(level)
            , scratch(std::move(file))
        {
        }
        ArcV2Encoder encoder;
        ArcV2Decoder decoder;
        ScratchFile scratch;
    };

    Error notExpressible(const std::string& message)
    {
        return { Error::Code::Refused, message, "no delta was written",
            "a delta cannot say this: publish a full snapshot", {} };
    }

    /// weight-delta.md section 5.1, W1: same shards, same tensors in each, same type and shape.
    Status checkPair(const WeightSet& base, const WeightSet& next)
    {
        if (base.isFolder() != next.isFolder())
            return notExpressible("one of base and new is a folder, the other a file");
        if (base.tensors().empty())
            return notExpressible("there are no tensors in " + base.path().string());
        for (const auto& tensor : base.tensors()) {
            const auto* other = next.find(tensor.info->name);
            const auto& name = tensor.info->name;
            if (other == nullptr) {
                const auto note = twinNote(base, tensor, "base");
                return notExpressible("tensor " + name + " is only in the base"
                    + (note.empty() ? "" : " (it " + note + ")"));
            }
            if (other->info->dtype != tensor.info->dtype
                || other->info->shape != tensor.info->shape)
                return notExpressible("tensor " + name + " is " + toString(tensor.info->dtype)
                    + shapeText(tensor.info->shape) + " in the base and "
                    + toString(other->info->dtype) + shapeText(other->info->shape)
                    + " in the new weights");
            if (base.isFolder()
                && base.shards()[tensor.shard].name != next.shards()[other->shard].name)
                return notExpressible("tensor " + name + " stands in "
                    + base.shards()[tensor.shard].name + " of the base and in "
                    + next.shards()[other->shard].name + " of the new weights");
        }
        for (const auto& tensor : next.tensors())
            if (base.find(tensor.info->name) == nullptr)
                return notExpressible(
                    "tensor " + tensor.info->name + " is only in the new weights");
        for (const auto* pair : { &base, &next })
            for (const auto& shard : pair->shards())
                if (base.isFolder()
                    && (base.findShard(shard.name) == nullptr
                        || next.findShard(shard.name) == nullptr))
                    return notExpressible(shard.name + " is on one side only");
        return done();
    }

    class DiffRun
    {
    public:
        DiffRun(
            const WeightSet& base, const WeightSet& next, const ScanKernels& kernels, JobPool& pool)
            : m_base(base)
            , m_next(next)
            , m_kernels(kernels)
            , m_pool(pool)
            , m_payloads(base.tensors().size())
        {
        }

        Status encodeAll(int level, const std::filesystem::path& scratchFolder)
        {
            for (unsigned i = 0; i < m_pool.threads(); ++i) {
                auto scratch = ScratchFile::create(scratchFolder);
                if (!scratch)
                    return scratch.error();
                m_tools.emplace_back(level, *std::move(scratch));
            }
            return m_pool.run(m_base.tensors().size(),
                [this](std::size_t i, JobWorker& worker) { return encode(i, worker); });
        }

        /// One delta file for one base file: names in byte order, U8 lists, checksums as metadata.
        Status writeShard(
            std::size_t shard, const std::filesystem::path& path, std::uint64_t& fileBytes)
        {
            std::map<std::string, std::size_t> order;
            for (std::size_t i = 0; i < m_base.tensors().size(); ++i)
                if (m_base.tensors()[i].shard == shard)
                    order.emplace(m_base.tensors()[i].info->name, i);
            std::vector<TensorInfo> infos;
            std::map<std::string, std::string> metadata;
            std::uint64_t end = 0;
            for (const auto& [name, i] : order) {
                const auto& payload = m_payloads[i];
                infos.push_back({ name, Dtype::U8, { payload.size }, end, end + payload.size });
                metadata.emplace(name, arcChecksumText(payload.checksum));
                end += payload.size;
            }
            const auto header = formatSafetensorsHeader(infos, metadata);
            if (header.size() - 8 > kMaxSafetensorsHeader)
                return notExpressible("there are too many tensors for the header of one file");
            auto file = OutputFile::create(path);
            if (!file)
                return file.error();
            fileBytes += header.size() + end;
            auto status = file->reserve(header.size() + end);
            if (status)
                status = file->writeAt(0, std::as_bytes(std::span(header)));
            auto info = infos.begin();
            for (const auto& [name, i] : order) {
                if (status)
                    status = copyPayload(m_payloads[i], *file, header.size() + info->begin);
                ++info;
            }
            return status ? file->commit() : status;
        }

        [[nodiscard]] std::uint64_t changed() const
        {
            std::uint64_t total = 0;
            for (const auto& payload : m_payloads)
                total += payload.changed;
            return total;
        }

    private:
        Status encode(std::size_t index, JobWorker& worker)
        {
            const auto& tensor = m_base.tensors()[index];
            const auto& other = *m_next.find(tensor.info->name);
            auto& tools = m_tools[worker.index()];
            const std::uint64_t start = tools.scratch.size();
            const std::uint64_t size = tensor.info->byteCount();
            const auto unit = scanUnitOf(tensor.info->dtype);
            ScanTotals totals;
            Adler32 xorSum;
            auto status = tools.encoder.begin(
                size, [&tools](auto bytes) { return tools.scratch.append(bytes); });
            for (std::uint64_t at = 0; status && at < size; at += kChunkBytes) {
                const auto n =
                    static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, size - at));
                status = worker.timed(Stage::Read, 2 * n, [&] {
                    auto got = m_base.fileOf(tensor).read(
                        *tensor.info, at, std::span(worker.base).first(n));
                    return got ? m_next.fileOf(other).read(
                               *other.info, at, std::span(worker.next).first(n))
                               : got;
                });
                if (!status)
                    break;
                worker.timed(Stage::Xor, n, [&] {
                    m_kernels.scan(worker.base.data(), worker.next.data(), worker.delta.data(), n,
                        unit, totals);
                    m_kernels.adler(worker.delta.data(), n, xorSum);
                    return 0;
                });
                status = worker.timed(Stage::Encode, n,
                    [&] { return tools.encoder.add(std::span(worker.delta).first(n)); });
                if (status)
                    status = worker.step(n);
            }
            if (status)
                status = tools.encoder.finish();
            if (!status)
                return status;
            m_payloads[index] = { worker.index(), start, tools.scratch.size() - start,
                totals.next.value(), totals.changed };
            return proveReadable(index, xorSum, worker);
        }

        /// A delta is published only if it decodes to the very bytes that were encoded.
        Status proveReadable(std::size_t index, Adler32 xorSum, JobWorker& worker)
        {
            const auto& tensor = *m_base.tensors()[index].info;
            auto& tools = m_tools[worker.index()];
            const auto& payload = m_payloads[index];
            auto status = tools.decoder.begin(
                tensor.name, payload.size, [&](std::uint64_t at, std::span<std::byte> out) {
                    return tools.scratch.readAt(payload.offset + at, out);
                });
            Adler32 sum;
            for (std::uint64_t at = 0; status && at < tensor.byteCount(); at += kChunkBytes) {
                const auto n = static_cast<std::size_t>(
                    std::min<std::uint64_t>(kChunkBytes, tensor.byteCount() - at));
                status = worker.timed(Stage::Decode, n,
                    [&] { return tools.decoder.read(std::span(worker.delta).first(n)); });
                m_kernels.adler(worker.delta.data(), n, sum);
                if (status)
                    status = worker.step(0);
            }
            if (status)
                status = tools.decoder.finish();
            if (status && sum.value() != xorSum.value())
                return Error { Error::Code::Backend,
                    "the payload of tensor " + tensor.name + " does not decode to what was encoded",
                    "no delta was written", "try again; if it stays, test this machine's memory",
                    {} };
            return status;
        }

        Status copyPayload(const StoredPayload& payload, OutputFile& file, std::uint64_t offset)
        {
            std::vector<std::byte> buffer(std::min<std::uint64_t>(payload.size, kChunkBytes));
            for (std::uint64_t at = 0; at < payload.size; at += buffer.size()) {
                const auto part = std::span(buffer).first(static_cast<std::size_t>(
                    std::min<std::uint64_t>(buffer.size(), payload.size - at)));
                if (auto got = m_tools[payload.worker].scratch.readAt(payload.offset + at, part);
                    !got)
                    return got;
                if (auto put = file.writeAt(offset + at, part); !put)
                    return put;
            }
            return done();
        }

        const WeightSet& m_base;
        const WeightSet& m_next;
        const ScanKernels& m_kernels;
        JobPool& m_pool;
        std::vector<StoredPayload> m_payloads;
        std::deque<DiffTools> m_tools; // one a thread
    };

    std::filesystem::path parentOf(const std::filesystem::path& path)
    {
        const auto target = path.filename().empty() ? path.parent_path() : path;
        return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
    }

    /// Shards, then the other files of the new folder, the index last.
    Status writeDelta(DiffRun& run, const WeightSet& base, const WeightSet& next,
        const std::filesystem::path& output, std::uint64_t& fileBytes)
    {
        if (!base.isFolder())
            return run.writeShard(0, output, fileBytes);
        auto folder = OutputFolder::create(output);
        if (!folder)
            return folder.error();
        for (std::size_t i = 0; i < base.shards().size(); ++i)
            if (auto written =
                    run.writeShard(i, folder->building() / base.shards()[i].name, fileBytes);
                !written)
                return written;
        if (auto copied = copyOtherFiles({ &next }, folder->building()); !copied)
            return copied;
        return folder->commit();
    }

} // namespace

Result<DeltaReport> CpuEngine::diff(const DiffJob& job, const JobControl& control)
{
    return withoutExceptions([&]() -> Result<DeltaReport> {
        const auto start = std::chrono::steady_clock::now();
        if (job.level < 1 || job.level > 19)
            return Error { Error::Code::Usage, "the level must be from 1 to 19",
                "no delta was written", {}, {} };
        if (auto checked = checkOutput(job.output, { job.base, job.target }); !checked)
            return checked.error();
        const auto base = WeightSet::open(job.base, WeightSet::Shorts::Refuse);
        if (!base)
            return base.error();
        const auto next = WeightSet::open(job.target, WeightSet::Shorts::Refuse);
        if (!next)
            return next.error();
        if (auto checked = checkPair(*base, *next); !checked)
            return checked.error();

        DeltaReport report;
        for (const auto& tensor : base->tensors())
            report.elements += tensor.info->elementCount();
        std::uint64_t total = 0;
        for (const auto& tensor : base->tensors())
            total += tensor.info->byteCount();
        JobPool pool(control, total, job.threads);
        DiffRun run(*base, *next, m_kernels, pool);
        if (auto encoded = run.encodeAll(job.level, parentOf(job.output)); !encoded)
            return encoded.error();
        if (control.isCanceled && control.isCanceled())
            return Error { Error::Code::Canceled, "the job was canceled", "no output was left", {},
                {} };
        if (auto written = writeDelta(run, *base, *next, job.output, report.bytesDelta); !written)
            return written.error();

        report.format = "arc_v2";
        report.bytesBase = base->fileBytes();
        report.bytesNew = next->fileBytes();
        report.ratio = fractionOf(report.bytesNew, report.bytesDelta);
        report.changed = run.changed();
        report.changedFraction = fractionOf(report.changed, report.elements);
        report.tensors = base->tensors().size();
        report.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        report.device = deviceName();
        report.kernel = kernelName();
        report.stages = pool.stages();
        return report;
    });
}

} // namespace desk
