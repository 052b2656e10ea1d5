// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/error_text.h"
#include "models/operation_table_model.h"
#include "models/rows.h"
#include "models/tensor_table_model.h"
#include "services/core/clock.h"
#include "services/delta/engine.h"

#include <QFuture>
#include <QFutureWatcher>
#include <QObject>
#include <QString>

#include <functional>
#include <optional>
#include <variant>

namespace desk {

class DeltaWorker;

/// One term of the equation that is checked: base ⊕ δ ⊕ δ = target.
struct VerifyTerm
{
    enum class Shape
    {
        Base,
        Delta,
        Target
    };
    Shape shape = Shape::Base;
    QString title; ///< "base step-400"
    QString detail; ///< "full weights · 15.26 GiB"
    std::filesystem::path path; ///< empty: a target that exists only as checksums
};

/// Where the rows around a checkpoint come from; functions, so that a test needs no window.
struct VerifyContext
{
    std::function<std::optional<CheckpointRow>(const QString& name)> checkpoint;
    /// Folder of a promoted model on this machine; empty if there is none.
    std::function<QString(const QString& modelId)> modelFolder;
};

/// The verification of one checkpoint on the delta thread, and its report.
///
/// A delta is rebuilt from the base of its chain and compared with the checksums that the delta
/// carries; a base that was promoted is compared with the model's files byte by byte; a base alone
/// is read completely (header, sizes, every value), which proves that it is sound, not that it is
/// equal to anything, and is said so.
/// THREAD: GUI; nothing blocks.
class VerifyModel final : public QObject
{
    Q_OBJECT
public:
    enum class State
    {
        Idle,
        Running,
        Done,
        Failed, ///< it could not be checked; error()
        Canceled
    };
    Q_ENUM(State)

    enum class Outcome
    {
        None,
        Exact,
        Sound, ///< a base alone: readable and without a problem
        Mismatch,
        Partial,
        Broken ///< a base alone: problems were found
    };

    VerifyModel(
        DeltaWorker& worker, const Clock& clock, VerifyContext context, QObject* parent = nullptr);
    ~VerifyModel() override; ///< cancels what is running
    Q_DISABLE_COPY_MOVE(VerifyModel)

    /// Starts; a running one is canceled first.
    void verify(const QString& checkpointName);
    void again() { verify(QString(m_checkpoint)); }
    void cancel();

    [[nodiscard]] State state() const noexcept { return m_state; }
    [[nodiscard]] Outcome outcome() const noexcept { return m_outcome; }
    [[nodiscard]] const QString& checkpoint() const noexcept { return m_checkpoint; }
    [[nodiscard]] const std::vector<VerifyTerm>& terms() const noexcept { return m_terms; }
    [[nodiscard]] const std::optional<ErrorText>& error() const noexcept { return m_error; }
    [[nodiscard]] TensorTableModel& tensors() noexcept { return m_tensors; }
    [[nodiscard]] const HeatMap& heatMap() const noexcept { return m_heat; }
    [[nodiscard]] double progress() const noexcept { return m_progress; } ///< 0..1

    [[nodiscard]] QString title() const; ///< "Verify step-420-45dda197"
    [[nodiscard]] QString subtitle() const; ///< "finished 13:58:07 · took 4.7 s"
    [[nodiscard]] QString verdict() const; ///< "Bit-exact"
    [[nodiscard]] QString
    verdictDetail() const; ///< "399 of 399 tensors · 16,381,470,720 bytes equal"
    [[nodiscard]] QString proof() const; ///< what was compared with what, in one sentence

    struct StageBar
    {
        QString name;
        QString detail;
        double bytesPerSecond = 0;
        bool isLimit = false;
    };
    [[nodiscard]] std::vector<StageBar> stages() const; ///< in the order of the data
    struct Fact
    {
        QString label;
        QString value;
    };
    [[nodiscard]] std::vector<Fact> changeFacts() const;
    /// The first differing bytes; empty when nothing differs.
    [[nodiscard]] std::vector<Fact> mismatchFacts() const;
    [[nodiscard]] QString device() const; ///< "cpu · avx2"

Q_SIGNALS:
    void changed();
    void taskChanged(const desk::LocalTask& task);
    /// A checkpoint was checked to the end. `word` is "exact", "sound", "mismatch", "partial" or
    /// "broken"; ratio and changed fraction are known for deltas.
    void verified(const QString& checkpointName, const QString& word, desk::Time at);

private:
    [[nodiscard]] Result<std::vector<VerifyTerm>> resolve(const CheckpointRow& row) const;
    void start();
    void finish(Result<VerifyReport> report);
    void finishInspect(Result<InspectReport> report);
    void fail(const Error& error);
    void publishTask();
    template <class T>
    void watch(QFuture<Result<T>> future, void (VerifyModel::*handler)(Result<T>));

    DeltaWorker& m_worker;
    const Clock& m_clock;
    VerifyContext m_context;
    State m_state = State::Idle;
    Outcome m_outcome = Outcome::None;
    QString m_checkpoint;
    std::vector<VerifyTerm> m_terms;
    std::variant<std::monostate, VerifyReport, InspectReport> m_report;
    std::optional<ErrorText> m_error;
    TensorTableModel m_tensors;
    HeatMap m_heat;
    double m_progress = 0;
    Time m_started {};
    std::optional<Time> m_ended;
    quint64 m_epoch = 0; ///< of the newest job; older answers are dropped
    quint64 m_task = 0; ///< names the row in the operations table
    std::function<void()> m_cancel;
};

} // namespace desk

Q_DECLARE_METATYPE(desk::LocalTask)
