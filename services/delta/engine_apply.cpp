// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/arc_v2.h"
#include "services/delta/cpu_engine.h"
#include "services/delta/delta_chain.h"
#include "services/delta/output_file.h"
#include "services/delta/rebuild.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>

namespace desk {

namespace {

    class ApplyRun
    {
    public:
        ApplyRun(const WeightSet& base, const DeltaChain& chain, const ScanKernels& kernels,
            JobPool& pool)
            : m_base(base)
            , m_chain(chain)
            , m_kernels(kernels)
            , m_pool(pool)
        {
        }

        /// The outputs, in the order of the base's shards; nothing is committed.
        Status writeAll(const std::vector<std::filesystem::path>& paths)
        {
            for (std::size_t i = 0; i < paths.size(); ++i)
                if (auto created = create(m_base.shards()[i].file, paths[i]); !created)
                    return created;
            for (unsigned i = 0; i < m_pool.threads(); ++i)
                m_rebuilders.push_back(
                    std::make_unique<TensorRebuilder>(m_kernels, m_chain.length()));
            return m_pool.run(m_base.tensors().size(),
                [this](std::size_t i, JobWorker& worker) { return write(i, worker); });
        }
        Status commit()
        {
            for (auto& file : m_files)
                if (auto committed = file.commit(); !committed)
                    return committed;
            return done();
        }
        [[nodiscard]] std::uint64_t changed() const { return m_changed; }

    private:
        /// Keeps the base's header byte for byte: names, order and metadata stay.
        Status create(const SafetensorsFile& old, const std::filesystem::path& path)
        {
            auto file = OutputFile::create(path);
            if (!file)
                return file.error();
            if (auto reserved = file->reserve(old.fileSize()); !reserved)
                return reserved;
            std::vector<std::byte> header(old.header().dataStart);
            if (auto got = old.readRaw(0, header); !got)
                return got;
            if (auto put = file->writeAt(0, header); !put)
                return put;
            m_files.push_back(*std::move(file));
            return done();
        }
        Status write(std::size_t index, JobWorker& worker)
        {
            const auto& tensor = m_base.tensors()[index];
            auto& file = m_files[tensor.shard];
            const auto start = m_base.fileOf(tensor).header().dataStart + tensor.info->begin;
            auto& rebuilder = *m_rebuilders[worker.index()];
            auto status = rebuilder.run(
                tensor, m_base, m_chain.links(index), worker, [&](std::uint64_t at, std::size_t n) {
                    return worker.timed(Stage::Write, n,
                        [&] { return file.writeAt(start + at, std::span(worker.next).first(n)); });
                });
            if (!status)
                return status;
            if (const auto wrong = rebuilder.firstWrongLink())
                return rebuilder.mismatchError(tensor, m_chain.links(index), *wrong);
            m_changed += rebuilder.changed();
            return done();
        }

        const WeightSet& m_base;
        const DeltaChain& m_chain;
        const ScanKernels& m_kernels;
        JobPool& m_pool;
        std::vector<OutputFile> m_files;
        std::vector<std::unique_ptr<TensorRebuilder>> m_rebuilders; // one a thread
        std::atomic<std::uint64_t> m_changed { 0 };
    };

    Status writeNew(ApplyRun& run, const WeightSet& base, const DeltaChain& chain,
        const std::filesystem::path& output, const JobControl& control)
    {
        const auto isCanceled = [&] { return control.isCanceled && control.isCanceled(); };
        const Error canceled { Error::Code::Canceled, "the job was canceled", "no output was left",
            {}, {} };
        if (!base.isFolder()) {
            if (auto written = run.writeAll({ output }); !written)
                return written;
            return isCanceled() ? Status(canceled) : run.commit();
        }
        auto folder = OutputFolder::create(output);
        if (!folder)
            return folder.error();
        std::vector<std::filesystem::path> paths;
        for (const auto& shard : base.shards())
            paths.push_back(folder->building() / shard.name);
        if (auto written = run.writeAll(paths); !written)
            return written;
        if (isCanceled())
            return canceled;
        if (auto committed = run.commit(); !committed)
            return committed;
        if (auto copied = copyOtherFiles({ &base, &chain.newest() }, folder->building()); !copied)
            return copied;
        return folder->commit();
    }

} // namespace

Status copyOtherFiles(
    const std::vector<const WeightSet*>& sources, const std::filesystem::path& folder)
{
    std::map<std::string, const WeightSet*> from; // a later source wins
    for (const auto* source : sources)
        for (const auto& name : source->otherFiles())
            from[name] = source;
    constexpr const char* kLast = "model.safetensors.index.json";
    for (const bool isLast : { false, true })
        for (const auto& [name, source] : from) {
            if ((name == kLast) != isLast)
                continue;
            const auto real = source->resolve(name);
            if (!real)
                return real.error();
            if (auto copied = copySmallFile(*real, folder / name); !copied)
                return copied;
        }
    return done();
}

Result<DeltaReport> CpuEngine::apply(const ApplyJob& job, const JobControl& control)
{
    return withoutExceptions([&]() -> Result<DeltaReport> {
        const auto start = std::chrono::steady_clock::now();
        auto inputs = job.deltas;
        inputs.push_back(job.base);
        if (auto checked = checkOutput(job.output, inputs); !checked)
            return checked.error();
        const auto base = WeightSet::open(job.base, WeightSet::Shorts::Refuse);
        if (!base)
            return base.error();
        const auto chain = DeltaChain::open(*base, job.deltas);
        if (!chain)
            return chain.error();
        if (auto complete = chain->checkComplete(); !complete)
            return complete.error();

        DeltaReport report;
        std::uint64_t total = 0;
        for (const auto& tensor : base->tensors()) {
            total += tensor.info->byteCount();
            report.elements += tensor.info->elementCount();
        }
        JobPool pool(control, total, job.threads);
        ApplyRun run(*base, *chain, m_kernels, pool);
        if (auto written = writeNew(run, *base, *chain, job.output, control); !written)
            return written.error();

        report.format = "arc_v2";
        report.bytesBase = base->fileBytes();
        report.bytesNew = report.bytesBase; // same header, same sizes
        report.bytesDelta = chain->fileBytes();
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
