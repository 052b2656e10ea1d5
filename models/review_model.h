// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/action_registry.h"
#include "models/error_text.h"
#include "models/plan_tables.h"
#include "services/core/connection.h"
#include "services/operations/operation_plan.h"

#include <QObject>
#include <QString>
#include <QStringList>
#include <QTimer>

#include <functional>
#include <memory>
#include <optional>

namespace desk {

class OperationCenter;

/// A choice of a combo box of the sheet.
struct ReviewChoice
{
    QString value; ///< what the draft gets, e.g. a full resource name
    QString text;
};

/// What the sheet needs to know of the rows around it; functions, so that a test needs no window.
struct ReviewContext
{
    std::function<std::optional<Connection>()> connection;
    /// Deployments that could load a checkpoint; the one attached to its job first.
    std::function<QList<ReviewChoice>(const QString& checkpoint)> deploymentsFor;
    /// Jobs that a new deployment could be attached to, the given one first.
    std::function<QList<ReviewChoice>(const QString& preferredJob)> jobsFor;
    std::function<QString(const QString& job)> baseModelOf;
    /// A readable name for a job, for suggested ids.
    std::function<QString(const QString& job)> titleOf;
    std::function<std::optional<std::int64_t>(const QString& job)> stepOf;
};

/// The review sheet's state: one draft, its plan, and the way to commit it (ui.md section 2.6).
/// Every change of a parameter runs the preflight again; the newest plan wins. commit() hands the
/// plan to the OperationCenter, which repeats the preflight and journals before it sends.
/// THREAD: GUI.
class ReviewModel final : public QObject
{
    Q_OBJECT
public:
    enum class State
    {
        Closed,
        Checking,
        Ready, ///< may be committed if canCommit()
        Held, ///< committed; sent when the hold-off ends, until then it can be taken back
        Committing ///< handed over; ends with closed() or with an error on the sheet
    };
    Q_ENUM(State)

    ReviewModel(OperationCenter& center, ReviewContext context, QObject* parent = nullptr);
    ~ReviewModel() override;
    Q_DISABLE_COPY_MOVE(ReviewModel)

    void open(const ReviewRequest& request);
    void close();

    [[nodiscard]] State state() const noexcept { return m_state; }
    [[nodiscard]] OperationKind kind() const noexcept { return m_draft.kind; }
    [[nodiscard]] const OperationDraft& draft() const noexcept { return m_draft; }
    [[nodiscard]] const std::optional<OperationPlan>& plan() const noexcept { return m_plan; }
    [[nodiscard]] PreflightTableModel& preflight() noexcept { return m_preflight; }
    [[nodiscard]] EffectTableModel& effect() noexcept { return m_effect; }
    [[nodiscard]] const std::optional<ErrorText>& error() const noexcept { return m_error; }

    [[nodiscard]] QString title() const; ///< "Promote to a model"
    [[nodiscard]] QString tier() const; ///< "T3 · creates a named object"
    [[nodiscard]] QString sentence() const; ///< what will happen, in one sentence
    [[nodiscard]] QString verb() const; ///< text of the commit button
    [[nodiscard]] QString preflightSummary() const;

    /// Value of a parameter of the draft; "checkpoint", "deployment" and "job" read its names.
    [[nodiscard]] QString parameter(const QString& key) const;
    void setParameter(const QString& key, const QString& value);
    [[nodiscard]] QList<ReviewChoice> deployments() const;
    [[nodiscard]] QList<ReviewChoice> jobs() const;
    [[nodiscard]] QStringList suggestedIds() const; ///< model ids for a promotion
    /// Problems of the typed id or name; empty when it may be used.
    [[nodiscard]] QStringList nameProblems() const;

    /// The name that must be typed before commit; empty: nothing (safety level 0).
    [[nodiscard]] QString nameToType() const;
    void setTypedName(const QString& text);
    [[nodiscard]] bool canCommit() const;
    [[nodiscard]] QString whyNot() const; ///< why canCommit() is false; empty if it is true
    [[nodiscard]] int holdSecondsLeft() const noexcept { return m_holdLeft; }
    void commit();
    void takeBack(); ///< ends a hold-off; nothing was sent

Q_SIGNALS:
    void opened();
    void closed();
    void changed(); ///< state, plan, error or a parameter
    /// The record is in the journal and on its way.
    void committed(const QString& operationId);

private:
    void setDefaults(const ReviewRequest& request);
    void check();
    void send();
    void setState(State state);
    void watchJournal(const QString& id);

    OperationCenter& m_center;
    ReviewContext m_context;
    State m_state = State::Closed;
    OperationDraft m_draft;
    QString m_job; ///< the job the subject belongs to
    std::optional<OperationPlan> m_plan;
    std::optional<ErrorText> m_error;
    PreflightTableModel m_preflight;
    EffectTableModel m_effect;
    QString m_typedName;
    QTimer m_checkTimer; ///< collects keystrokes
    QTimer m_holdTimer;
    int m_holdLeft = 0;
    quint64 m_epoch = 0; ///< of the newest check; older answers are dropped
};

} // namespace desk
