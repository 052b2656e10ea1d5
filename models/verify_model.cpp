// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/verify_model.h"

#include "models/format.h"
#include "services/on_finished.h"
#include "services/worker/delta_worker.h"

#include <QStringList>

#include <algorithm>
#include <cmath>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kMaxChain = 256;

    QString verifySizeText(const std::optional<std::uint64_t>& bytes)
    {
        return bytes ? u" · "_s + format::bytes(*bytes) : QString();
    }

    VerifyTerm termOf(const CheckpointRow& row)
    {
        const bool isDelta = row.type == CheckpointType::InferenceArcV2;
        return { isDelta ? VerifyTerm::Shape::Delta : VerifyTerm::Shape::Base,
            (isDelta ? u"δ "_s : VerifyModel::tr("base ")) + row.shortName,
            (isDelta ? u"arc_v2"_s : VerifyModel::tr("full weights"))
                + verifySizeText(row.sizeBytes),
            std::filesystem::path(format::toUtf8(row.path)) };
    }

    QString siblingName(const CheckpointRow& row, const QString& id)
    {
        return id.contains(u'/') ? id : row.job + u"/checkpoints/"_s + id;
    }

    TensorRow rowOf(const TensorSummary& summary, bool isSound)
    {
        TensorRow row;
        row.name = summary.info.name;
        row.dtype = summary.info.dtype;
        row.shape = summary.info.shape;
        row.bytes = summary.info.byteCount();
        row.elements = summary.info.elementCount();
        row.nonFinite = summary.nonFinite;
        row.checksum = summary.checksum;
        row.status = isSound ? TensorStatus::NotChecked : TensorStatus::Mismatch;
        return row;
    }

    QString stageName(const std::string& stage)
    {
        if (stage == "read")
            return VerifyModel::tr("Read from storage");
        if (stage == "decode")
            return VerifyModel::tr("Decode δ");
        if (stage == "xor+adler")
            return VerifyModel::tr("XOR and Adler-32");
        if (stage == "compare")
            return VerifyModel::tr("Compare");
        if (stage == "write")
            return VerifyModel::tr("Write");
        if (stage == "measure")
            return VerifyModel::tr("Statistics per tensor");
        return format::fromUtf8(stage);
    }

} // namespace

VerifyModel::VerifyModel(
    DeltaWorker& worker, const Clock& clock, VerifyContext context, QObject* parent)
    : QObject(parent)
    , m_worker(worker)
    , m_clock(clock)
    , m_context(std::move(context))
{
}

VerifyModel::~VerifyModel()
{
    if (m_cancel)
        m_cancel();
}

void VerifyModel::verify(const QString& checkpointName)
{
    cancel();
    m_checkpoint = checkpointName;
    m_terms.clear();
    m_report = std::monostate {};
    m_error.reset();
    m_tensors.setRows({});
    m_heat = {};
    m_outcome = Outcome::None;
    m_progress = 0;
    m_started = m_clock.now();
    m_ended.reset();
    ++m_epoch;
    ++m_task;
    const auto row = m_context.checkpoint ? m_context.checkpoint(checkpointName) : std::nullopt;
    if (!row) {
        fail({ Error::Code::NotFound, "The checkpoint is not listed any more",
            "nothing was checked", "refresh the list", {} });
        return;
    }
    auto terms = resolve(*row);
    if (!terms) {
        fail(terms.error());
        return;
    }
    m_terms = *std::move(terms);
    start();
}

Result<std::vector<VerifyTerm>> VerifyModel::resolve(const CheckpointRow& row) const
{
    if (row.type != CheckpointType::InferenceBase && row.type != CheckpointType::InferenceArcV2)
        return Error { Error::Code::Refused,
            "Only base and delta snapshots hold weights that can be verified",
            "nothing was checked", "choose a sampler snapshot of this job", {} };
    std::vector<VerifyTerm> chain { termOf(row) };
    CheckpointRow link = row;
    while (link.type == CheckpointType::InferenceArcV2) {
        const auto parent = link.parent.isEmpty()
            ? std::nullopt
            : m_context.checkpoint(siblingName(link, link.parent));
        if (!parent || int(chain.size()) >= kMaxChain)
            return Error { Error::Code::NotFound,
                "The chain of this delta is broken: its parent "
                    + (link.parent.isEmpty() ? std::string("is not recorded")
                                             : format::toUtf8(link.parent) + " is not listed"),
                "nothing was checked", "verify a base snapshot, or save a new base", {} };
        link = *parent;
        chain.insert(chain.begin(), termOf(link));
    }
    for (const auto& term : chain)
        if (term.path.empty())
            return Error { Error::Code::NotFound,
                "The files of " + format::toUtf8(term.title) + " are not on this machine",
                "nothing was checked",
                "verify where the files are, with trainerdesk-delta verify BASE DELTA", {} };
    if (row.type == CheckpointType::InferenceArcV2) {
        chain.push_back({ VerifyTerm::Shape::Target, tr("target %1").arg(row.shortName),
            tr("as checksummed when it was saved"), {} });
    } else if (!row.promotedAs.isEmpty() && m_context.modelFolder) {
        if (const QString folder = m_context.modelFolder(row.promotedAs); !folder.isEmpty())
            chain.push_back({ VerifyTerm::Shape::Target, tr("model %1").arg(row.promotedAs),
                tr("promoted files"), std::filesystem::path(format::toUtf8(folder)) });
    }
    return chain;
}

template <class T>
void VerifyModel::watch(QFuture<Result<T>> future, void (VerifyModel::*handler)(Result<T>))
{
    const quint64 epoch = m_epoch;
    m_cancel = [future]() mutable { future.cancel(); };
    auto* watcher = new QFutureWatcher<Result<T>>(this);
    connect(watcher, &QFutureWatcherBase::progressValueChanged, this, [this, epoch](int value) {
        if (epoch != m_epoch)
            return;
        m_progress = value / 1000.0;
        publishTask();
        Q_EMIT changed();
    });
    connect(watcher, &QFutureWatcherBase::finished, watcher, &QObject::deleteLater);
    watcher->setFuture(future);
    onFinished(future, this, [this, epoch, handler](Result<T> report) {
        if (epoch == m_epoch)
            (this->*handler)(std::move(report));
    });
}

void VerifyModel::start()
{
    m_state = State::Running;
    publishTask();
    Q_EMIT changed();
    const bool hasTarget = m_terms.back().shape == VerifyTerm::Shape::Target;
    const auto& base = m_terms.front().path;
    if (!hasTarget) {
        watch(m_worker.inspect({ base, true }), &VerifyModel::finishInspect);
    } else if (m_terms.size() == 2) {
        watch(m_worker.compare({ base, m_terms.back().path, 0 }), &VerifyModel::finish);
    } else {
        VerifyJob job;
        job.base = base;
        for (const auto& term : m_terms)
            if (term.shape == VerifyTerm::Shape::Delta)
                job.deltas.push_back(term.path);
        watch(m_worker.verify(std::move(job)), &VerifyModel::finish);
    }
}

void VerifyModel::cancel()
{
    if (m_state != State::Running)
        return;
    ++m_epoch;
    if (m_cancel)
        m_cancel();
    m_cancel = {};
    m_state = State::Canceled;
    m_ended = m_clock.now();
    publishTask();
    Q_EMIT changed();
}

void VerifyModel::finish(Result<VerifyReport> report)
{
    if (!report) {
        fail(report.error());
        return;
    }
    // A comparison of a base with its promoted model: equal means that not one element changed.
    const bool isCompare = m_terms.size() == 2;
    const bool isEqual = report->verdict == Verdict::Exact
        && (!isCompare || (report->changedFraction == 0 && report->counts.mismatch == 0));
    m_outcome = isEqual                       ? Outcome::Exact
        : report->verdict == Verdict::Partial ? Outcome::Partial
                                              : Outcome::Mismatch;
    m_tensors.setRows(report->rows);
    m_heat = heatMapOf(m_tensors.rows());
    m_report = *std::move(report);
    m_state = State::Done;
    m_ended = m_clock.now();
    m_progress = 1;
    m_cancel = {};
    publishTask();
    Q_EMIT changed();
    const QString word = m_outcome == Outcome::Exact ? u"exact"_s
        : m_outcome == Outcome::Partial              ? u"partial"_s
                                                     : u"mismatch"_s;
    Q_EMIT verified(m_checkpoint, word, *m_ended);
}

void VerifyModel::finishInspect(Result<InspectReport> report)
{
    if (!report) {
        fail(report.error());
        return;
    }
    const bool isSound = report->problems.empty()
        && std::all_of(report->tensors.begin(), report->tensors.end(),
            [](const TensorSummary& tensor) { return tensor.nonFinite.value_or(0) == 0; });
    std::vector<TensorRow> rows;
    rows.reserve(report->tensors.size());
    for (const auto& tensor : report->tensors)
        rows.push_back(rowOf(tensor, tensor.nonFinite.value_or(0) == 0));
    m_outcome = isSound ? Outcome::Sound : Outcome::Broken;
    m_tensors.setRows(std::move(rows));
    m_report = *std::move(report);
    m_state = State::Done;
    m_ended = m_clock.now();
    m_progress = 1;
    m_cancel = {};
    publishTask();
    Q_EMIT changed();
    Q_EMIT verified(m_checkpoint, isSound ? u"sound"_s : u"broken"_s, *m_ended);
}

void VerifyModel::fail(const Error& error)
{
    if (error.code == Error::Code::Canceled) {
        m_state = State::Canceled;
    } else {
        m_state = State::Failed;
        m_error = errorText(error);
    }
    m_cancel = {};
    m_ended = m_clock.now();
    publishTask();
    Q_EMIT changed();
}

QString VerifyModel::title() const
{
    return m_checkpoint.isEmpty() ? tr("Verify")
                                  : tr("Verify %1").arg(format::lastSegment(m_checkpoint));
}

QString VerifyModel::subtitle() const
{
    switch (m_state) {
    case State::Idle:
        return tr("Choose a base or delta snapshot and press Verify…");
    case State::Running:
        return tr("started %1 · %2").arg(format::clockTime(m_started), device());
    case State::Done:
        return tr("finished %1 · took %2")
            .arg(format::clockTime(*m_ended), format::seconds(secondsBetween(m_started, *m_ended)));
    case State::Failed:
        return tr("ended %1 without a result").arg(format::clockTime(*m_ended));
    case State::Canceled:
        return tr("canceled; nothing was changed");
    }
    return {};
}

QString VerifyModel::verdict() const
{
    switch (m_state) {
    case State::Idle:
        return tr("Nothing checked yet");
    case State::Running:
        return tr("Checking… %1 %").arg(int(m_progress * 100));
    case State::Failed:
        return tr("Could not be checked");
    case State::Canceled:
        return tr("Canceled");
    case State::Done:
        break;
    }
    switch (m_outcome) {
    case Outcome::Exact:
        return tr("Bit-exact");
    case Outcome::Sound:
        return tr("Readable and complete");
    case Outcome::Mismatch:
        return tr("Not equal");
    case Outcome::Partial: {
        const auto* report = std::get_if<VerifyReport>(&m_report);
        const double share = report != nullptr && report->counts.total > 0
            ? 100.0 * double(report->counts.exact) / double(report->counts.total)
            : 0;
        return tr("Partially checked (%1 %)").arg(int(share));
    }
    case Outcome::Broken:
        return tr("Problems found");
    case Outcome::None:
        break;
    }
    return {};
}

QString VerifyModel::verdictDetail() const
{
    if (m_error)
        return m_error->oneLine();
    if (const auto* report = std::get_if<VerifyReport>(&m_report)) {
        const auto& counts = report->counts;
        QStringList parts { tr("%1 of %2 tensors")
                                .arg(format::count(std::int64_t(counts.exact)),
                                    format::count(std::int64_t(counts.total))) };
        if (m_outcome == Outcome::Exact)
            parts << tr("%1 bytes equal").arg(format::count(std::int64_t(report->bytes)));
        if (counts.mismatch > 0)
            parts << tr("%1 differ").arg(counts.mismatch);
        if (counts.missing > 0)
            parts << tr("%1 missing").arg(counts.missing);
        if (counts.extra > 0)
            parts << tr("%1 extra").arg(counts.extra);
        if (counts.notChecked > 0)
            parts << tr("%1 not checked").arg(counts.notChecked);
        std::uint64_t nonFinite = 0;
        for (const auto& row : report->rows)
            nonFinite += row.nonFinite.value_or(0);
        parts << (nonFinite == 0 ? tr("no non-finite value")
                                 : tr("%1 non-finite values").arg(nonFinite));
        return parts.join(u" · "_s);
    }
    if (const auto* report = std::get_if<InspectReport>(&m_report)) {
        if (!report->problems.empty())
            return format::fromUtf8(report->problems.front().message);
        return tr("%1 tensors · %2 bytes read · header, sizes and every value checked")
            .arg(format::count(std::int64_t(report->tensors.size())),
                format::count(std::int64_t(report->bytes)));
    }
    return {};
}

QString VerifyModel::proof() const
{
    if (m_terms.empty())
        return {};
    if (m_terms.back().shape != VerifyTerm::Shape::Target)
        return tr("A base alone: nothing to compare it with yet");
    return m_terms.back().path.empty() ? tr("Every rebuilt byte is in the checksums")
                                       : tr("Every byte compared");
}

std::vector<VerifyModel::StageBar> VerifyModel::stages() const
{
    const auto* report = std::get_if<VerifyReport>(&m_report);
    if (report == nullptr)
        return {};
    std::vector<StageBar> bars;
    const StageThroughput* slowest = nullptr;
    for (const auto& stage : report->stages)
        if (stage.bytes > 0 && stage.seconds > 0
            && (slowest == nullptr || stage.seconds > slowest->seconds))
            slowest = &stage;
    for (const auto& stage : report->stages) {
        if (stage.bytes == 0 || stage.seconds <= 0)
            continue;
        bars.push_back({ stageName(stage.stage), format::bytes(stage.bytes), stage.bytesPerSecond(),
            &stage == slowest });
    }
    return bars;
}

std::vector<VerifyModel::Fact> VerifyModel::changeFacts() const
{
    const auto* report = std::get_if<VerifyReport>(&m_report);
    if (report == nullptr)
        return {};
    std::uint64_t elements = 0;
    std::uint64_t tensors = 0;
    const TensorRow* largest = nullptr;
    double squares = 0;
    for (const auto& row : report->rows) {
        elements += row.elements;
        tensors += row.changed > 0 ? 1 : 0;
        if (row.maxAbsDelta && (largest == nullptr || *row.maxAbsDelta > *largest->maxAbsDelta))
            largest = &row;
        squares += row.l2Delta.value_or(0) * row.l2Delta.value_or(0);
    }
    std::vector<Fact> facts {
        { tr("Elements"),
            tr("%1 of %2")
                .arg(format::percent(report->changedFraction),
                    format::shortCount(double(elements))) },
        { tr("Tensors"), tr("%1 of %2 changed").arg(tensors).arg(report->rows.size()) },
    };
    if (largest != nullptr)
        facts.push_back({ tr("Largest |Δ|"),
            format::number(largest->maxAbsDelta, 3) + u" · "_s + format::fromUtf8(largest->name) });
    facts.push_back({ tr("Total ‖Δ‖₂"), format::number(std::sqrt(squares), 3) });
    if (report->bytesDelta > 0)
        facts.push_back({ tr("Compressed"),
            tr("%1 · 1 : %2")
                .arg(format::bytes(report->bytesDelta))
                .arg(report->ratio, 0, 'f', 1) });
    return facts;
}

std::vector<VerifyModel::Fact> VerifyModel::mismatchFacts() const
{
    const auto* report = std::get_if<VerifyReport>(&m_report);
    if (report == nullptr || !report->firstMismatch)
        return {};
    const auto& first = *report->firstMismatch;
    std::vector<Fact> facts { { tr("Tensor"), format::fromUtf8(first.tensor) } };
    if (first.byteOffset)
        facts.push_back({ tr("Byte offset"), format::count(std::int64_t(*first.byteOffset)) });
    if (!first.base.empty())
        facts.push_back({ tr("base"), format::fromUtf8(first.base) });
    facts.push_back({ tr("expected"), format::fromUtf8(first.expected) });
    facts.push_back({ tr("found"), format::fromUtf8(first.found) });
    return facts;
}

QString VerifyModel::device() const
{
    if (const auto* report = std::get_if<VerifyReport>(&m_report))
        return format::fromUtf8(report->device) + u" · "_s + format::fromUtf8(report->kernel);
    return m_worker.deviceDescription();
}

void VerifyModel::publishTask()
{
    LocalTask task;
    task.id = u"task:verify:"_s + QString::number(m_task);
    task.what = tr("Verify %1").arg(format::lastSegment(m_checkpoint));
    task.target = device();
    task.started = m_started;
    task.ended = m_ended;
    task.fraction = m_progress;
    switch (m_state) {
    case State::Running:
        task.word = tr("verifying");
        task.detail = tr("%1 %").arg(int(m_progress * 100));
        break;
    case State::Done:
        task.word = m_outcome == Outcome::Exact || m_outcome == Outcome::Sound ? tr("verified")
                                                                               : tr("differs");
        task.state = m_outcome == Outcome::Exact || m_outcome == Outcome::Sound
            ? OperationState::Succeeded
            : m_outcome == Outcome::Partial ? OperationState::Unknown
                                            : OperationState::Failed;
        task.detail = verdict() + u" · "_s + verdictDetail();
        break;
    case State::Failed:
        task.word = tr("failed");
        task.state = OperationState::Failed;
        task.detail = verdictDetail();
        break;
    case State::Canceled:
    case State::Idle:
        task.word = tr("canceled");
        task.state = OperationState::Cancelled;
        break;
    }
    Q_EMIT taskChanged(task);
}

} // namespace desk
