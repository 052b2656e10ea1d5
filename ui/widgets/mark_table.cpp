// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/mark_table.h"

#include "ui/style/spans.h"

#include <QtMath>

using namespace Qt::StringLiterals;

namespace desk {

MarkModel::MarkModel(QObject* parent)
    : QAbstractTableModel(parent)
{
}

void MarkModel::setHeader(const QStringList& titles)
{
    beginResetModel();
    m_header = titles;
    m_columns = std::max(m_columns, static_cast<int>(titles.size()));
    endResetModel();
}

void MarkModel::setRows(QList<QList<MarkCell>> rows, QStringList ids)
{
    int columns = static_cast<int>(m_header.size());
    for (const QList<MarkCell>& row : rows)
        columns = std::max(columns, static_cast<int>(row.size()));
    if (columns != m_columns) {
        beginResetModel();
        m_columns = columns;
        m_rows = std::move(rows);
        m_ids = std::move(ids);
        endResetModel();
        return;
    }
    const auto oldCount = static_cast<int>(m_rows.size());
    const auto newCount = static_cast<int>(rows.size());
    if (newCount < oldCount) {
        beginRemoveRows({}, newCount, oldCount - 1);
        m_rows.resize(newCount);
        endRemoveRows();
    } else if (newCount > oldCount) {
        beginInsertRows({}, oldCount, newCount - 1);
        m_rows.resize(newCount);
        for (int row = oldCount; row < newCount; ++row)
            m_rows[row] = rows[row];
        m_ids = ids;
        endInsertRows();
    }
    for (int row = 0; row < std::min(oldCount, newCount); ++row) {
        if (m_rows[row] == rows[row] && m_ids.value(row) == ids.value(row))
            continue;
        m_rows[row] = rows[row];
        if (row < m_ids.size() && row < ids.size())
            m_ids[row] = ids[row];
        Q_EMIT dataChanged(index(row, 0), index(row, m_columns - 1));
    }
    m_ids = std::move(ids);
}

int MarkModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int MarkModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : m_columns;
}

QVariant MarkModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    if (role == +Role::Cell)
        return static_cast<int>(CellKind::Markup);
    if (role == +Role::Id)
        return m_ids.value(index.row());
    const MarkCell cell = m_rows[index.row()].value(index.column());
    switch (role) {
    case Qt::DisplayRole:
    case Qt::AccessibleTextRole:
        if (cell.fraction >= 0)
            return u"%1 percent"_s.arg(qRound(cell.fraction * 100));
        return cell.action.isEmpty() ? spanText(parseSpans(cell.markup)) : cell.action;
    case Qt::TextAlignmentRole:
        return static_cast<int>(cell.isRight ? Qt::AlignRight : Qt::AlignLeft);
    case +Role::Markup:
        return cell.markup;
    case +Role::Fraction:
        return cell.fraction >= 0 ? QVariant(cell.fraction) : QVariant();
    case +Role::Mark:
        return cell.mark >= 0 ? QVariant(cell.mark) : QVariant();
    case +Role::Tone:
        return static_cast<int>(cell.tone);
    case +Role::Action:
        return cell.action;
    case +Role::ActionIsButton:
        return cell.actionIsButton;
    default:
        return {};
    }
}

QVariant MarkModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    return m_header.value(section);
}

MarkTable::MarkTable(const QStringList& header, const QList<int>& widths,
    const QString& accessibleName, QWidget* parent)
    : TableView(parent)
    , m_rows(new MarkModel(this))
{
    QStringList titles = header;
    while (titles.size() < widths.size())
        titles.append(QString());
    m_rows->setHeader(titles);
    setModel(m_rows);
    setColumnWidths(widths);
    setAccessibleName(accessibleName);
    horizontalHeader()->setSectionsMovable(false);
    horizontalHeader()->setSectionsClickable(false);
    horizontalHeader()->setVisible(!header.isEmpty());
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
}

void MarkTable::setRows(QList<QList<MarkCell>> rows, QStringList ids)
{
    m_rows->setRows(std::move(rows), std::move(ids));
}

} // namespace desk
