// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/operation_table_model.h"

#include "models/format.h"
#include "models/item_roles.h"
#include "services/codecs/control_codec.h"

#include <QStringList>

#include <algorithm>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    StatusKind statusOfOperation(OperationState state)
    {
        switch (state) {
        case OperationState::Draft:
        case OperationState::Held:
            return StatusKind::Waiting;
        case OperationState::Checking:
        case OperationState::Sent:
            return StatusKind::Busy;
        case OperationState::Accepted:
        case OperationState::Running:
            return StatusKind::Running;
        case OperationState::Succeeded:
            return StatusKind::Good;
        case OperationState::Failed:
            return StatusKind::Failed;
        case OperationState::Cancelled:
            return StatusKind::Off;
        case OperationState::Unknown:
            return StatusKind::Unknown;
        }
        return StatusKind::None;
    }

    Tone toneOfOperation(OperationState state)
    {
        switch (state) {
        case OperationState::Sent:
        case OperationState::Checking:
            return Tone::Busy;
        case OperationState::Accepted:
        case OperationState::Running:
            return Tone::Running;
        case OperationState::Failed:
            return Tone::Failed;
        case OperationState::Unknown:
            return Tone::Attention;
        case OperationState::Succeeded:
            return Tone::Good;
        case OperationState::Draft:
        case OperationState::Held:
        case OperationState::Cancelled:
            return Tone::Secondary;
        }
        return Tone::Normal;
    }

    QString runningWord(OperationKind kind)
    {
        switch (kind) {
        case OperationKind::Save:
            return OperationTableModel::tr("saving");
        case OperationKind::Promote:
            return OperationTableModel::tr("promoting");
        case OperationKind::Hotload:
        case OperationKind::Previous:
            return OperationTableModel::tr("loading");
        case OperationKind::Resume:
            return OperationTableModel::tr("resuming");
        case OperationKind::Cancel:
            return OperationTableModel::tr("cancelling");
        case OperationKind::Delete:
            return OperationTableModel::tr("deleting");
        case OperationKind::Extend:
            return OperationTableModel::tr("extending");
        case OperationKind::Scale:
            return OperationTableModel::tr("scaling");
        case OperationKind::Create:
            return OperationTableModel::tr("creating");
        }
        return {};
    }

    QString doneWord(OperationKind kind)
    {
        switch (kind) {
        case OperationKind::Save:
            return OperationTableModel::tr("saved");
        case OperationKind::Promote:
            return OperationTableModel::tr("promoted");
        case OperationKind::Hotload:
            return OperationTableModel::tr("loaded");
        case OperationKind::Previous:
            return OperationTableModel::tr("went back");
        case OperationKind::Resume:
            return OperationTableModel::tr("resumed");
        case OperationKind::Cancel:
            return OperationTableModel::tr("cancelled");
        case OperationKind::Delete:
            return OperationTableModel::tr("deleted");
        case OperationKind::Extend:
            return OperationTableModel::tr("extended");
        case OperationKind::Scale:
            return OperationTableModel::tr("scaled");
        case OperationKind::Create:
            return OperationTableModel::tr("created");
        }
        return {};
    }

    QString parameterOf(const Operation& operation, const char* key)
    {
        const auto entry = operation.parameters.find(key);
        return entry == operation.parameters.end() ? QString() : format::fromUtf8(entry->second);
    }

    QString targetOf(const Operation& operation)
    {
        switch (operation.kind) {
        case OperationKind::Promote:
            return parameterOf(operation, "model_id");
        case OperationKind::Create:
            return parameterOf(operation, "name");
        case OperationKind::Save:
            return format::lastSegment(format::fromUtf8(operation.target));
        default:
            return format::lastSegment(format::fromUtf8(operation.target));
        }
    }

    int readyReplicas(const Operation& operation)
    {
        const auto wanted = format::lastSegment(format::fromUtf8(operation.subject));
        return int(std::count_if(
            operation.replicas.begin(), operation.replicas.end(), [&](const Replica& replica) {
                return replica.isReady && format::fromUtf8(replica.currentSnapshot) == wanted;
            }));
    }

    /// "980 KiB · 49.2 % of its base · 98.7 % of the elements changed": a delta never stands
    /// without its ratio.
    QString saveText(const Operation& operation)
    {
        const auto saved = decodeControlSaved(operation.result);
        if (!saved)
            return OperationTableModel::tr("saved");
        QStringList parts { saved->snapshotName.empty() ? format::fromUtf8(saved->path)
                                                        : format::fromUtf8(saved->snapshotName) };
        if (saved->bytes)
            parts << format::bytes(*saved->bytes);
        if (saved->kind == "delta" && saved->ratio && *saved->ratio > 0)
            parts << OperationTableModel::tr("1 : %1 of its base").arg(*saved->ratio, 0, 'f', 1);
        if (saved->changedFraction)
            parts << OperationTableModel::tr("%1 of the elements changed")
                         .arg(format::percent(*saved->changedFraction));
        return parts.join(u" · "_s);
    }

    QString resultText(const Operation& operation)
    {
        switch (operation.kind) {
        case OperationKind::Save:
            return saveText(operation);
        case OperationKind::Hotload:
        case OperationKind::Previous:
            return OperationTableModel::tr("%1 of %2 replicas serve it")
                .arg(readyReplicas(operation))
                .arg(operation.replicas.size());
        case OperationKind::Promote:
            return OperationTableModel::tr("the model is ready");
        case OperationKind::Create:
            return OperationTableModel::tr("it is ready");
        case OperationKind::Resume:
        case OperationKind::Cancel:
        case OperationKind::Delete:
        case OperationKind::Extend:
        case OperationKind::Scale:
            break;
        }
        return OperationTableModel::tr("done");
    }

    bool isLoad(const Operation& operation)
    {
        return operation.kind == OperationKind::Hotload
            || operation.kind == OperationKind::Previous;
    }

} // namespace

double secondsBetween(Time from, Time to)
{
    return std::chrono::duration<double>(to - from).count();
}

std::optional<double> medianOf(QList<double> values)
{
    if (values.isEmpty())
        return std::nullopt;
    const auto middle = values.begin() + values.size() / 2;
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

QString operationWord(const Operation& operation)
{
    switch (operation.state) {
    case OperationState::Succeeded:
        return doneWord(operation.kind);
    case OperationState::Failed:
        return OperationTableModel::tr("failed");
    case OperationState::Cancelled:
        return OperationTableModel::tr("cancelled");
    case OperationState::Unknown:
        return OperationTableModel::tr("unknown");
    case OperationState::Held:
        return OperationTableModel::tr("held");
    case OperationState::Draft:
    case OperationState::Checking:
        return OperationTableModel::tr("checking");
    case OperationState::Sent:
    case OperationState::Accepted:
    case OperationState::Running:
        return runningWord(operation.kind);
    }
    return {};
}

QString operationSentence(const Operation& operation)
{
    const QString subject = format::lastSegment(format::fromUtf8(operation.subject));
    switch (operation.kind) {
    case OperationKind::Save:
        return OperationTableModel::tr("Save %1 %2")
            .arg(parameterOf(operation, "kind"), parameterOf(operation, "name"));
    case OperationKind::Promote:
        return OperationTableModel::tr("Promote %1").arg(subject);
    case OperationKind::Hotload:
        return OperationTableModel::tr("Hotload %1").arg(subject);
    case OperationKind::Previous:
        return OperationTableModel::tr("Go back to %1").arg(subject);
    case OperationKind::Create:
        return OperationTableModel::tr("Create deployment");
    case OperationKind::Delete:
        return OperationTableModel::tr("Delete %1").arg(parameterOf(operation, "resource"));
    case OperationKind::Cancel:
        return OperationTableModel::tr("Cancel job");
    case OperationKind::Resume:
        return OperationTableModel::tr("Resume job");
    case OperationKind::Extend:
        return OperationTableModel::tr("Extend %1").arg(subject);
    case OperationKind::Scale:
        return OperationTableModel::tr("Scale deployment");
    }
    return {};
}

QString operationOutcome(const Operation& operation)
{
    if (!operation.errorMessage.empty()) {
        QStringList parts { format::fromUtf8(operation.errorMessage) };
        for (const auto& part : { operation.errorUnchanged, operation.errorNext })
            if (!part.empty())
                parts << format::fromUtf8(part);
        return parts.join(u" · "_s);
    }
    if (operation.state == OperationState::Succeeded)
        return resultText(operation);
    if (!operation.stages.empty()) {
        const auto& last = operation.stages.back();
        if (!last.detail.empty())
            return format::fromUtf8(last.detail);
    }
    return format::fromUtf8(operation.stage);
}

OperationTableModel::OperationTableModel(QObject* parent)
    : QAbstractTableModel(parent)
{
}

int OperationTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_tasks.size() + m_operations.size());
}

int OperationTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QVariant OperationTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const auto column = Column(index.column());
    if (role == +Role::Id)
        return idAt(index.row());
    if (index.row() < m_tasks.size())
        return taskData(m_tasks.at(index.row()), column, role);
    return operationData(m_operations.at(index.row() - m_tasks.size()), column, role);
}

QVariant OperationTableModel::operationData(
    const Operation& operation, Column column, int role) const
{
    if (role == Qt::AccessibleTextRole)
        return tr("%1 to %2, %3, %4")
            .arg(operationSentence(operation), targetOf(operation), operationWord(operation),
                operationOutcome(operation));
    const bool isRunning = !isFinal(operation.state) && operation.state != OperationState::Unknown;
    switch (column) {
    case Column::State:
        if (role == Qt::DisplayRole)
            return operationWord(operation);
        if (role == +Role::Cell)
            return int(CellKind::Flag);
        if (role == +Role::StatusCode)
            return int(statusOfOperation(operation.state));
        if (role == +Role::Tone)
            return int(toneOfOperation(operation.state));
        return {};
    case Column::What:
        return role == Qt::DisplayRole ? operationSentence(operation) : QVariant();
    case Column::Target:
        return role == Qt::DisplayRole ? QVariant(u"→ "_s + targetOf(operation)) : QVariant();
    case Column::Progress: {
        if (!isRunning || operation.replicas.empty())
            return {};
        if (role == +Role::Cell)
            return int(CellKind::Bar);
        const double total = double(operation.replicas.size());
        const auto median = medianOf(loadSeconds(operation.target));
        if (role == +Role::Fraction)
            return median ? qMin(1.0, secondsBetween(operation.created, m_now) / (2 * *median))
                          : readyReplicas(operation) / total;
        if (role == +Role::Mark && median)
            return 0.5;
        return {};
    }
    case Column::Detail:
        if (role == Qt::DisplayRole || role == Qt::ToolTipRole)
            return progressText(operation);
        return {};
    case Column::Elapsed:
        if (role == Qt::DisplayRole)
            return elapsedText(operation);
        if (role == +Role::Tone)
            return int(Tone::Secondary);
        return {};
    case Column::When:
        if (role == Qt::DisplayRole)
            return format::clockTime(operation.created);
        if (role == Qt::ToolTipRole)
            return format::isoTime(operation.created);
        return {};
    case Column::By:
        return role == Qt::DisplayRole ? format::fromUtf8(operation.by) : QVariant();
    case Column::Key:
        if (role == Qt::DisplayRole)
            return format::fromUtf8(operation.key);
        if (role == +Role::IsMono)
            return true;
        return {};
    case Column::Action:
        if (role == +Role::Cell)
            return int(CellKind::Action);
        if (role == +Role::Action || role == Qt::DisplayRole)
            return operation.state == OperationState::Unknown ? tr("Reconcile…") : tr("Open");
        if (role == +Role::ActionIsButton)
            return operation.state == OperationState::Unknown;
        return {};
    }
    return {};
}

QVariant OperationTableModel::taskData(const LocalTask& task, Column column, int role) const
{
    if (role == Qt::AccessibleTextRole)
        return tr("%1 on %2, %3, %4").arg(task.what, task.target, task.word, task.detail);
    switch (column) {
    case Column::State:
        if (role == Qt::DisplayRole)
            return task.word;
        if (role == +Role::Cell)
            return int(CellKind::Flag);
        if (role == +Role::StatusCode)
            return int(task.state == OperationState::Running ? StatusKind::Busy
                                                             : statusOfOperation(task.state));
        if (role == +Role::Tone)
            return int(
                task.state == OperationState::Running ? Tone::Busy : toneOfOperation(task.state));
        return {};
    case Column::What:
        return role == Qt::DisplayRole ? QVariant(task.what) : QVariant();
    case Column::Target:
        return role == Qt::DisplayRole ? QVariant(task.target) : QVariant();
    case Column::Progress:
        if (task.state != OperationState::Running)
            return {};
        if (role == +Role::Cell)
            return int(CellKind::Bar);
        if (role == +Role::Fraction)
            return task.fraction;
        return {};
    case Column::Detail:
        return role == Qt::DisplayRole || role == Qt::ToolTipRole ? QVariant(task.detail)
                                                                  : QVariant();
    case Column::Elapsed:
        if (role == Qt::DisplayRole)
            return format::seconds(secondsBetween(task.started, task.ended.value_or(m_now)));
        if (role == +Role::Tone)
            return int(Tone::Secondary);
        return {};
    case Column::When:
        return role == Qt::DisplayRole ? QVariant(format::clockTime(task.started)) : QVariant();
    case Column::By:
        return role == Qt::DisplayRole ? QVariant(tr("this machine")) : QVariant();
    case Column::Key:
        return {};
    case Column::Action:
        if (role == +Role::Cell)
            return int(CellKind::Action);
        if (role == +Role::Action || role == Qt::DisplayRole)
            return tr("Open");
        return {};
    }
    return {};
}

QString OperationTableModel::progressText(const Operation& operation) const
{
    const bool isRunning = !isFinal(operation.state) && operation.state != OperationState::Unknown;
    if (isLoad(operation) && !operation.replicas.empty() && isRunning)
        return tr("%1 of %2 replicas ready")
            .arg(readyReplicas(operation))
            .arg(operation.replicas.size());
    return operationOutcome(operation);
}

QString OperationTableModel::elapsedText(const Operation& operation) const
{
    if (operation.state == OperationState::Unknown)
        return tr("%1 ago").arg(format::age(operation.updated, m_now));
    const Time until = isFinal(operation.state) ? operation.updated : m_now;
    const double length = secondsBetween(operation.created, until);
    // A clock that ticks while it runs, a figure when it has ended.
    QString text = isFinal(operation.state)
        ? format::seconds(length)
        : format::stopwatch(std::chrono::seconds(std::int64_t(length)));
    if (isLoad(operation) && !isFinal(operation.state))
        if (const auto median = medianOf(loadSeconds(operation.target)))
            text += tr(" · median %1").arg(format::seconds(*median));
    return text;
}

QVariant OperationTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::State:
        return tr("State");
    case Column::What:
        return tr("What");
    case Column::Target:
        return tr("Target");
    case Column::Progress:
        return tr("Progress");
    case Column::Detail:
        return tr("Result");
    case Column::Elapsed:
        return tr("Elapsed");
    case Column::When:
        return tr("When");
    case Column::By:
        return tr("By");
    case Column::Key:
        return tr("Idempotency key");
    case Column::Action:
        return QString();
    }
    return {};
}

void OperationTableModel::setOperations(QList<Operation> operations)
{
    // New records come at the top; everything else is updated in place.
    const int offset = int(m_tasks.size());
    QHash<QString, int> known;
    for (int i = 0; i < m_operations.size(); ++i)
        known.insert(format::fromUtf8(m_operations.at(i).id), i);
    int fresh = 0;
    while (fresh < operations.size() && !known.contains(format::fromUtf8(operations.at(fresh).id)))
        ++fresh;
    bool isSameTail = operations.size() - fresh == m_operations.size();
    for (int i = 0; isSameTail && i < m_operations.size(); ++i)
        isSameTail = m_operations.at(i).id == operations.at(i + fresh).id;
    if (!isSameTail) {
        beginResetModel();
        m_operations = std::move(operations);
        endResetModel();
        return;
    }
    if (fresh > 0) {
        beginInsertRows({}, offset, offset + fresh - 1);
        m_operations = operations.mid(0, fresh) + m_operations;
        endInsertRows();
    }
    for (int i = fresh; i < m_operations.size(); ++i) {
        if (m_operations.at(i) == operations.at(i))
            continue;
        m_operations[i] = operations.at(i);
        Q_EMIT dataChanged(index(offset + i, 0), index(offset + i, kColumns - 1));
    }
}

void OperationTableModel::putTask(const LocalTask& task)
{
    for (int i = 0; i < m_tasks.size(); ++i) {
        if (m_tasks.at(i).id == task.id) {
            m_tasks[i] = task;
            Q_EMIT dataChanged(index(i, 0), index(i, kColumns - 1));
            return;
        }
    }
    beginInsertRows({}, 0, 0);
    m_tasks.prepend(task);
    endInsertRows();
}

void OperationTableModel::setNow(Time now)
{
    m_now = now;
    for (int row = 0; row < rowCount(); ++row) {
        const bool isLive = row < m_tasks.size()
            ? m_tasks.at(row).state == OperationState::Running
            : !isFinal(m_operations.at(row - m_tasks.size()).state);
        if (isLive)
            Q_EMIT dataChanged(index(row, int(Column::Progress)), index(row, int(Column::Elapsed)));
    }
}

std::optional<Operation> OperationTableModel::operation(const QString& id) const
{
    for (const auto& operation : m_operations)
        if (format::fromUtf8(operation.id) == id)
            return operation;
    return std::nullopt;
}

QString OperationTableModel::idAt(int row) const
{
    if (row < 0 || row >= rowCount())
        return {};
    return row < m_tasks.size() ? m_tasks.at(row).id
                                : format::fromUtf8(m_operations.at(row - m_tasks.size()).id);
}

bool OperationTableModel::isTask(int row) const
{
    return row >= 0 && row < m_tasks.size();
}

int OperationTableModel::rowOf(const QString& id) const
{
    for (int row = 0; row < rowCount(); ++row)
        if (idAt(row) == id)
            return row;
    return -1;
}

int OperationTableModel::runningCount() const
{
    return int(std::count_if(m_operations.begin(), m_operations.end(), [](const auto& operation) {
        return !isFinal(operation.state) && operation.state != OperationState::Unknown;
    }));
}

int OperationTableModel::unknownCount() const
{
    return int(std::count_if(m_operations.begin(), m_operations.end(),
        [](const auto& operation) { return operation.state == OperationState::Unknown; }));
}

QString OperationTableModel::summary() const
{
    if (m_operations.isEmpty() && m_tasks.isEmpty())
        return {};
    const auto tasks = std::count_if(m_tasks.begin(), m_tasks.end(),
        [](const auto& task) { return task.state == OperationState::Running; });
    QStringList parts;
    if (const int running = runningCount() + int(tasks))
        parts << tr("%1 running").arg(running);
    if (const int unknown = unknownCount())
        parts << tr("%1 unknown").arg(unknown);
    const auto today = std::chrono::floor<std::chrono::days>(m_now);
    const auto done =
        std::count_if(m_operations.begin(), m_operations.end(), [&](const auto& operation) {
            return isFinal(operation.state) && operation.updated >= today;
        });
    parts << tr("%1 done today").arg(done);
    return parts.join(u" · "_s);
}

QList<double> OperationTableModel::loadSeconds(const std::string& deployment) const
{
    QList<double> seconds;
    for (const auto& operation : m_operations)
        if (isLoad(operation) && operation.state == OperationState::Succeeded
            && operation.target == deployment)
            seconds.prepend(secondsBetween(operation.created, operation.updated));
    return seconds;
}

} // namespace desk
