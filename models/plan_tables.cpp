// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/plan_tables.h"

#include "models/format.h"
#include "models/item_roles.h"

#include <QStringList>

#include <algorithm>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    StatusKind statusOfCheck(CheckKind kind)
    {
        switch (kind) {
        case CheckKind::Pass:
            return StatusKind::Good;
        case CheckKind::Warn:
            return StatusKind::Attention;
        case CheckKind::Fail:
            return StatusKind::Failed;
        case CheckKind::Unknown:
            return StatusKind::Unknown;
        }
        return StatusKind::None;
    }

    QString wordOfCheck(CheckKind kind)
    {
        switch (kind) {
        case CheckKind::Pass:
            return PreflightTableModel::tr("passes");
        case CheckKind::Warn:
            return PreflightTableModel::tr("to consider");
        case CheckKind::Fail:
            return PreflightTableModel::tr("blocks");
        case CheckKind::Unknown:
            return PreflightTableModel::tr("not known");
        }
        return {};
    }

    /// A new set of equal length keeps selection and scroll position; anything else is a new table.
    template <class Row>
    bool hasSameShape(const std::vector<Row>& before, const std::vector<Row>& after)
    {
        return before.size() == after.size() && !after.empty();
    }

} // namespace

int PreflightTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_checks.size());
}

int PreflightTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QVariant PreflightTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const PreflightCheck& check = m_checks[std::size_t(index.row())];
    const auto column = Column(index.column());
    const bool deservesThought = check.result != CheckKind::Pass;
    if (role == Qt::AccessibleTextRole)
        return tr("%1: %2. %3 %4")
            .arg(format::fromUtf8(check.title), wordOfCheck(check.result),
                format::fromUtf8(check.why), format::fromUtf8(check.fix));
    if (role == +Role::Id)
        return format::fromUtf8(check.id);
    switch (column) {
    case Column::Result:
        if (role == +Role::Cell)
            return int(CellKind::Flag);
        if (role == +Role::StatusCode)
            return int(statusOfCheck(check.result));
        return {};
    case Column::Title:
        if (role == Qt::DisplayRole)
            return format::fromUtf8(check.title);
        if (role == +Role::IsStrong)
            return deservesThought;
        return {};
    case Column::Why:
        if (role == Qt::DisplayRole || role == Qt::ToolTipRole)
            return format::fromUtf8(check.why);
        if (role == +Role::Tone)
            return int(deservesThought ? Tone::Normal : Tone::Secondary);
        return {};
    case Column::Fix:
        if (role == Qt::DisplayRole || role == Qt::ToolTipRole)
            return format::fromUtf8(check.fix);
        if (role == +Role::Tone)
            return int(Tone::Secondary);
        return {};
    }
    return {};
}

QVariant PreflightTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::Result:
        return tr("Result");
    case Column::Title:
        return tr("Check");
    case Column::Why:
        return tr("Why");
    case Column::Fix:
        return tr("Fix");
    }
    return {};
}

void PreflightTableModel::setChecks(std::vector<PreflightCheck> checks)
{
    if (hasSameShape(m_checks, checks)) {
        m_checks = std::move(checks);
        Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, kColumns - 1));
        return;
    }
    beginResetModel();
    m_checks = std::move(checks);
    endResetModel();
}

QString PreflightTableModel::summary() const
{
    const auto countOf = [this](CheckKind kind) {
        return int(std::count_if(m_checks.begin(), m_checks.end(),
            [kind](const PreflightCheck& check) { return check.result == kind; }));
    };
    QStringList parts { tr("%n pass", nullptr, countOf(CheckKind::Pass)) };
    if (const int count = countOf(CheckKind::Warn))
        parts << tr("%n to consider", nullptr, count);
    if (const int count = countOf(CheckKind::Unknown))
        parts << tr("%n not known", nullptr, count);
    if (const int count = countOf(CheckKind::Fail))
        parts << tr("%n block it", nullptr, count);
    return tr("%1 checks").arg(m_checks.size()) + u" · "_s + parts.join(u", "_s);
}

int EffectTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

int EffectTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QVariant EffectTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const EffectRow& row = m_rows[std::size_t(index.row())];
    const auto column = Column(index.column());
    const std::string& text = column == Column::What ? row.what
        : column == Column::Before                   ? row.before
                                                     : row.after;
    if (role == Qt::DisplayRole || role == Qt::ToolTipRole)
        return text.empty() ? format::unknown() : format::fromUtf8(text);
    if (role == Qt::AccessibleTextRole)
        return tr("%1: before %2, after %3")
            .arg(format::fromUtf8(row.what), format::fromUtf8(row.before),
                format::fromUtf8(row.after));
    if (role == +Role::Tone)
        return int(column == Column::After ? Tone::Normal : Tone::Secondary);
    if (column == Column::After && row.isWarning) {
        if (role == +Role::Cell)
            return int(CellKind::Flag);
        if (role == +Role::StatusCode)
            return int(StatusKind::Attention);
    }
    return {};
}

QVariant EffectTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::What:
        return QString();
    case Column::Before:
        return tr("Before");
    case Column::After:
        return tr("After");
    }
    return {};
}

void EffectTableModel::setRows(std::vector<EffectRow> rows)
{
    if (hasSameShape(m_rows, rows)) {
        m_rows = std::move(rows);
        Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, kColumns - 1));
        return;
    }
    beginResetModel();
    m_rows = std::move(rows);
    endResetModel();
}

} // namespace desk
