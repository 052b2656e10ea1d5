// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/cpu_engine.h"
#include "services/delta/delta_chain.h"
#include "services/delta/float_delta.h"
#include "services/delta/rebuild.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>

namespace desk {

namespace {

    TensorRow rowOf(const TensorInfo& info)
    {
        TensorRow row;
        row.name = info.name;
        row.dtype = info.dtype;
        row.shape = info.shape;
        row.bytes = info.byteCount();
        row.elements = info.elementCount();
        return row;
    }
    TensorRow rowOf(const TensorInfo& info, TensorStatus status, std::string note)
    {
        auto row = rowOf(info);
        row.status = status;
        row.note = std::move(note);
        return row;
    }

    void putFloats(TensorRow& row, const FloatDelta& floats)
    {
        if (!isMeasuredFloat(row.dtype))
            return;
        row.maxAbsDelta = floats.maxAbs;
        row.l2Delta = std::sqrt(floats.sumSquares());
        row.nonFinite = floats.nonFinite;
    }

    void measureChunk(const TensorInfo& info, JobWorker& worker, std::size_t n, FloatDelta& floats)
    {
        if (!isMeasuredFloat(info.dtype))
            return;
        worker.timed(Stage::Measure, n, [&] {
            measureDelta(info.dtype, worker.base.data(), worker.next.data(), n, floats);
            return 0;
        });
    }

    /// Proves a chain, tensor by tensor: against the deltas' checksums, and the target if there is
    /// one.
    class VerifyRun
    {
    public:
        VerifyRun(const WeightSet& base, const DeltaChain& chain, const WeightSet* target,
            const ScanKernels& kernels, JobPool& pool, VerifyReport& report)
            : m_base(base)
            , m_chain(chain)
            , m_target(target)
            , m_pool(pool)
            , m_report(report)
            , m_mismatches(base.tensors().size())
        {
            report.rows.resize(base.tensors().size());
            for (unsigned i = 0; i < pool.threads(); ++i)
                m_rebuilders.emplace_back(kernels, chain.length());
        }
        Status run()
        {
            auto status = m_pool.run(m_base.tensors().size(),
                [this](std::size_t i, JobWorker& worker) { return check(i, worker); });
            if (status)
                addExtras();
            return status;
        }
        [[nodiscard]] const std::vector<std::optional<Mismatch>>& mismatches() const
        {
            return m_mismatches;
        }

    private:
        Status check(std::size_t index, JobWorker& worker)
        {
            const auto& tensor = m_base.tensors()[index];
            const auto& links = m_chain.links(index);
            auto& row = m_report.rows[index] = rowOf(*tensor.info);
            if (tensor.isCut) {
                row.note = "the base's file ends before this tensor does";
                return worker.step(row.bytes);
            }
            if (links.size() < m_chain.length()) {
                row.status = TensorStatus::Missing;
                row.note = "a delta lacks this tensor";
                return worker.step(row.bytes);
            }
            const WeightTensor* expected = nullptr;
            if (m_target != nullptr && !findExpected(tensor, row, expected))
                return worker.step(row.bytes);

            auto& rebuilder = m_rebuilders[worker.index()];
            FloatDelta floats;
            auto& mismatch = m_mismatches[index];
            auto status =
                rebuilder.run(tensor, m_base, links, worker, [&](std::uint64_t at, std::size_t n) {
                    measureChunk(*tensor.info, worker, n, floats);
                    return expected == nullptr ? done()
                                               : compareChunk(*expected, at, n, worker, mismatch);
                });
            if (!status)
                return status;
            row.changed = rebuilder.changed();
            row.checksum = hex32(rebuilder.checksum());
            putFloats(row, floats);
            judge(row, links, rebuilder, mismatch);
            return done();
        }

        /// False: the target has nothing to compare with; the row says so.
        bool findExpected(
            const WeightTensor& tensor, TensorRow& row, const WeightTensor*& expected) const
        {
            expected = m_target->find(tensor.info->name);
            if (expected == nullptr) {
                row.status = TensorStatus::Missing;
                row.note = "the target lacks this tensor";
                return false;
            }
            if (expected->info->dtype != tensor.info->dtype
                || expected->info->shape != tensor.info->shape) {
                row.status = TensorStatus::Mismatch;
                row.note = std::string("the target has ") + toString(expected->info->dtype)
                    + shapeText(expected->info->shape);
                return false;
            }
            if (expected->isCut) {
                row.note = "the target's file ends before this tensor does";
                return false;
            }
            return true;
        }

        Status compareChunk(const WeightTensor& expected, std::uint64_t at, std::size_t n,
            JobWorker& worker, std::optional<Mismatch>& mismatch) const
        {
            auto got = worker.timed(Stage::Read, n, [&] {
                return m_target->fileOf(expected).read(
                    *expected.info, at, std::span(worker.other).first(n));
            });
            if (!got)
                return got;
            worker.timed(Stage::Compare, n, [&] {
                if (!mismatch)
                    mismatch = firstDifference(*expected.info, at, worker.base.data(),
                        worker.other.data(), worker.next.data(), n);
                return 0;
            });
            return done();
        }

        static void judge(TensorRow& row, const std::vector<ChainLink>& links,
            const TensorRebuilder& rebuilder, std::optional<Mismatch>& mismatch)
        {
            const auto wrong = rebuilder.firstWrongLink();
            row.status = wrong || mismatch ? TensorStatus::Mismatch : TensorStatus::Exact;
            if (!wrong)
                return;
            row.note = "the Adler-32 after " + links[*wrong].file->path().filename().string()
                + " is not the one that it carries";
            if (!mismatch)
                mismatch = Mismatch { row.name, std::nullopt, std::nullopt, {},
                    hex32(links[*wrong].checksum), hex32(rebuilder.checksumAfter(*wrong)) };
        }

        void addExtras()
        {
            for (const auto& name : m_chain.extra()) {
                TensorRow row;
                row.name = name;
                row.status = TensorStatus::Extra;
                row.note = "a delta has this tensor, the base has not";
                m_report.rows.push_back(std::move(row));
            }
            if (m_target == nullptr)
                return;
            for (const auto& tensor : m_target->tensors())
                if (m_base.find(tensor.info->name) == nullptr)
                    m_report.rows.push_back(rowOf(*tensor.info, TensorStatus::Extra,
                        "the target has this tensor, the base has not"));
        }

        const WeightSet& m_base;
        const DeltaChain& m_chain;
        const WeightSet* m_target;
        JobPool& m_pool;
        VerifyReport& m_report;
        std::vector<std::optional<Mismatch>> m_mismatches;
        std::deque<TensorRebuilder> m_rebuilders; // one a thread
    };

    /// Bit for bit, and how far the values moved.
    class CompareRun
    {
    public:
        CompareRun(const WeightSet& base, const WeightSet& target, const ScanKernels& kernels,
            JobPool& pool, VerifyReport& report)
            : m_base(base)
            , m_target(target)
            , m_kernels(kernels)
            , m_pool(pool)
            , m_report(report)
            , m_mismatches(base.tensors().size())
        {
            report.rows.resize(base.tensors().size());
        }
        Status run()
        {
            auto status = m_pool.run(m_base.tensors().size(),
                [this](std::size_t i, JobWorker& worker) { return check(i, worker); });
            if (status)
                addOneSided();
            return status;
        }
        [[nodiscard]] const std::vector<std::optional<Mismatch>>& mismatches() const
        {
            return m_mismatches;
        }

    private:
        Status check(std::size_t index, JobWorker& worker)
        {
            const auto& tensor = m_base.tensors()[index];
            auto& row = m_report.rows[index] = rowOf(*tensor.info);
            const auto* other = m_target.find(tensor.info->name);
            if (other == nullptr) {
                row.status = TensorStatus::Missing;
                row.note = "only in the base";
            } else if (other->info->dtype != tensor.info->dtype
                || other->info->shape != tensor.info->shape) {
                row.status = TensorStatus::Mismatch;
                row.note = std::string(toString(tensor.info->dtype)) + shapeText(tensor.info->shape)
                    + " in the base, " + toString(other->info->dtype)
                    + shapeText(other->info->shape) + " in the new weights";
            } else if (tensor.isCut || other->isCut) {
                row.note = tensor.isCut ? "the base's file ends before this tensor does"
                                        : "the new file ends before this tensor does";
            } else {
                return scan(tensor, *other, row, m_mismatches[index], worker);
            }
            return worker.step(row.bytes);
        }

        Status scan(const WeightTensor& tensor, const WeightTensor& other, TensorRow& row,
            std::optional<Mismatch>& mismatch, JobWorker& worker)
        {
            const auto unit = scanUnitOf(tensor.info->dtype);
            ScanTotals totals;
            FloatDelta floats;
            for (std::uint64_t at = 0; at < row.bytes; at += kChunkBytes) {
                const auto n =
                    static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, row.bytes - at));
                auto status = worker.timed(Stage::Read, 2 * n, [&] {
                    auto got = m_base.fileOf(tensor).read(
                        *tensor.info, at, std::span(worker.base).first(n));
                    return got ? m_target.fileOf(other).read(
                               *other.info, at, std::span(worker.next).first(n))
                               : got;
                });
                if (!status)
                    return status;
                worker.timed(Stage::Xor, n, [&] {
                    m_kernels.scan(
                        worker.base.data(), worker.next.data(), nullptr, n, unit, totals);
                    return 0;
                });
                if (!mismatch && totals.changed > 0)
                    mismatch = firstDifference(*tensor.info, at, worker.base.data(),
                        worker.base.data(), worker.next.data(), n);
                measureChunk(*tensor.info, worker, n, floats);
                if (auto stepped = worker.step(n); !stepped)
                    return stepped;
            }
            row.changed = totals.changed;
            row.checksum = hex32(totals.next.value());
            row.status = totals.changed == 0 ? TensorStatus::Exact : TensorStatus::Mismatch;
            putFloats(row, floats);
            return done();
        }

        void addOneSided()
        {
            constexpr std::size_t kMaxTwins = 8; // notes, not a search of the whole model
            std::size_t searched = 0;
            for (auto& row : m_report.rows) {
                const auto* other = m_target.find(row.name);
                if (other == nullptr) {
                    m_report.removed.push_back(row.name);
                    if (++searched <= kMaxTwins)
                        addTwin(row, twinNote(m_base, *m_base.find(row.name), "base"));
                } else if (other->info->dtype != row.dtype || other->info->shape != row.shape) {
                    m_report.reshaped.push_back(row.name);
                }
            }
            for (const auto& tensor : m_target.tensors()) {
                if (m_base.find(tensor.info->name) != nullptr)
                    continue;
                m_report.added.push_back(tensor.info->name);
                auto row = rowOf(*tensor.info, TensorStatus::Extra, "only in the new weights");
                if (++searched <= kMaxTwins)
                    addTwin(row, twinNote(m_target, tensor, "new weights"));
                m_report.rows.push_back(std::move(row));
            }
        }
        static void addTwin(TensorRow& row, const std::string& note)
        {
            if (!note.empty())
                row.note += "; it " + note;
        }

        const WeightSet& m_base;
        const WeightSet& m_target;
        const ScanKernels& m_kernels;
        JobPool& m_pool;
        VerifyReport& m_report;
        std::vector<std::optional<Mismatch>> m_mismatches;
    };

    void warnAboutShorts(const WeightSet& set, std::vector<std::string>& warnings)
    {
        for (const auto& problem : set.shortShards())
            warnings.push_back(problem.message);
    }

    /// A config that ties the head to the embedding while the file holds two different ones.
    void warnAboutTies(const WeightSet& set, std::vector<std::string>& warnings)
    {
        const auto* head = set.find("lm_head.weight");
        const auto* embed = set.find("model.embed_tokens.weight");
        if (head == nullptr || embed == nullptr || !set.saysTied()
            || !twinNote(set, *head, "new weights").empty())
            return;
        warnings.push_back("config.json says that lm_head.weight is tied to "
                           "model.embed_tokens.weight, but their values differ");
    }

    std::uint64_t tensorBytes(const WeightSet& set)
    {
        std::uint64_t bytes = 0;
        for (const auto& tensor : set.tensors())
            bytes += tensor.info->byteCount();
        return bytes;
    }

} // namespace

Result<VerifyReport> CpuEngine::verify(const VerifyJob& job, const JobControl& control)
{
    return withoutExceptions([&]() -> Result<VerifyReport> {
        const auto start = std::chrono::steady_clock::now();
        const auto base = WeightSet::open(job.base, WeightSet::Shorts::Allow);
        if (!base)
            return base.error();
        const auto chain = DeltaChain::open(*base, job.deltas);
        if (!chain)
            return chain.error();
        std::optional<WeightSet> target;
        if (job.target) {
            auto opened = WeightSet::open(*job.target, WeightSet::Shorts::Allow);
            if (!opened)
                return opened.error();
            target = *std::move(opened);
        }
        VerifyReport report;
        JobPool pool(control, tensorBytes(*base), job.threads);
        VerifyRun run(*base, *chain, target ? &*target : nullptr, m_kernels, pool, report);
        if (auto checked = run.run(); !checked)
            return checked.error();
        concludeVerify(report, run.mismatches());
        warnAboutShorts(*base, report.warnings);
        if (target)
            warnAboutShorts(*target, report.warnings);
        report.bytesBase = base->fileBytes();
        report.bytesNew = target ? target->fileBytes() : report.bytesBase;
        report.bytesDelta = chain->fileBytes();
        report.ratio = fractionOf(report.bytesNew, report.bytesDelta);
        report.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        report.device = deviceName();
        report.kernel = kernelName();
        report.stages = pool.stages();
        return report;
    });
}

Result<VerifyReport> CpuEngine::compare(const CompareJob& job, const JobControl& control)
{
    return withoutExceptions([&]() -> Result<VerifyReport> {
        const auto start = std::chrono::steady_clock::now();
        const auto base = WeightSet::open(job.base, WeightSet::Shorts::Allow);
        if (!base)
            return base.error();
        const auto target = WeightSet::open(job.target, WeightSet::Shorts::Allow);
        if (!target)
            return target.error();
        VerifyReport report;
        JobPool pool(control, tensorBytes(*base), job.threads);
        CompareRun run(*base, *target, m_kernels, pool, report);
        if (auto compared = run.run(); !compared)
            return compared.error();
        concludeVerify(report, run.mismatches());
        warnAboutShorts(*base, report.warnings);
        warnAboutShorts(*target, report.warnings);
        warnAboutTies(*target, report.warnings);
        report.bytesBase = base->fileBytes();
        report.bytesNew = target->fileBytes();
        report.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        report.device = deviceName();
        report.kernel = kernelName();
        report.stages = pool.stages();
        return report;
    });
}

} // namespace desk
