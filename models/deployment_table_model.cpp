// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/deployment_table_model.h"

#include "models/evidence.h"
#include "models/format.h"
#include "models/item_roles.h"

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    CellKind deploymentCellKind(DeploymentTableModel::Column column)
    {
        using Column = DeploymentTableModel::Column;
        switch (column) {
        case Column::Name:
            return CellKind::Name;
        case Column::State:
            return CellKind::Flag;
        case Column::Lag:
            return CellKind::Number;
        case Column::Replicas:
            return CellKind::Pills;
        case Column::Model:
        case Column::Trainer:
        case Column::Identity:
        case Column::Stage:
        case Column::Created:
            break;
        }
        return CellKind::Text;
    }

    QList<PillValue> replicaPills(const DeploymentRow& row)
    {
        PillValue pill;
        pill.text = u"%1/%2"_s.arg(row.ready).arg(row.replicas);
        if (!row.error.isEmpty())
            pill.status = StatusKind::Failed;
        else if (row.ready < row.replicas)
            pill.status = StatusKind::Busy;
        else
            pill.status = row.replicas > 0 ? StatusKind::Good : StatusKind::Off;
        pill.showsGlyph = true;
        return { pill };
    }

    QString orUnknown(const QString& text)
    {
        return text.isEmpty() ? format::unknown() : text;
    }

} // namespace

DeploymentTableModel::DeploymentTableModel(QObject* parent)
    : RowTable(parent)
{
}

int DeploymentTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.rows().size());
}

int DeploymentTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

void DeploymentTableModel::setRows(const QList<DeploymentRow>& rows)
{
    m_rows.apply(rows, Signals(*this));
}

void DeploymentTableModel::setNow(Time now)
{
    m_now = now;
    if (rowCount() > 0) {
        Q_EMIT dataChanged(index(0, int(Column::Created)),
            index(rowCount() - 1, int(Column::Created)), { Qt::DisplayRole });
    }
}

QString DeploymentTableModel::display(const DeploymentRow& row, Column column) const
{
    switch (column) {
    case Column::Name:
        return format::lastSegment(row.name);
    case Column::State:
        return orUnknown(row.state);
    case Column::Model:
        return format::baseModel(row.baseModel, row.isStandIn);
    case Column::Trainer:
        return row.trainerJob.isEmpty() ? tr("none") : format::lastSegment(row.trainerJob);
    case Column::Identity:
        return row.isMixed ? tr("mixed") : orUnknown(row.identity);
    case Column::Lag:
        return row.lagSteps ? format::count(*row.lagSteps) : format::unknown();
    case Column::Replicas:
        return u"%1/%2"_s.arg(row.ready).arg(row.replicas);
    case Column::Stage:
        return row.error.isEmpty() ? orUnknown(row.stage) : row.error;
    case Column::Created:
        return format::age(row.created, m_now, 2);
    }
    return {};
}

QVariant DeploymentTableModel::sortKey(const DeploymentRow& row, Column column) const
{
    switch (column) {
    case Column::Lag:
        return row.lagSteps ? QVariant(double(*row.lagSteps)) : QVariant();
    case Column::Replicas:
        return row.ready;
    case Column::Created:
        return row.created ? QVariant(-double(row.created->time_since_epoch().count()))
                           : QVariant();
    case Column::Name:
    case Column::State:
    case Column::Model:
    case Column::Trainer:
    case Column::Identity:
    case Column::Stage:
        break;
    }
    return display(row, column);
}

QVariant DeploymentTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const DeploymentRow& row = m_rows.rows().at(index.row());
    const auto column = Column(index.column());
    switch (role) {
    case Qt::DisplayRole:
        return display(row, column);
    case Qt::AccessibleTextRole:
        if (column == Column::Name) {
            return tr("%1, %2, serving %3, %4 of %5 replicas ready")
                .arg(format::lastSegment(row.name), orUnknown(row.state),
                    display(row, Column::Identity))
                .arg(row.ready)
                .arg(row.replicas);
        }
        return display(row, column);
    case +Role::Cell:
        return int(deploymentCellKind(column));
    case +Role::SortKey:
        return sortKey(row, column);
    case +Role::Id:
        return row.name;
    case +Role::Index:
        return index.row();
    case +Role::IsMono:
        return column == Column::Identity && !row.identity.isEmpty();
    case +Role::StatusCode:
        return column == Column::State ? QVariant(int(statusOfServerWord(row.state))) : QVariant();
    case +Role::Tone:
        if (column == Column::Stage && !row.error.isEmpty())
            return int(Tone::Failed);
        if (column == Column::Identity && row.isMixed)
            return int(Tone::Attention);
        if (column == Column::Trainer && row.trainerJob.isEmpty())
            return int(Tone::Secondary);
        return int(Tone::Normal);
    case +Role::Pills:
        return column == Column::Replicas ? QVariant::fromValue(replicaPills(row)) : QVariant();
    default:
        return {};
    }
}

QVariant DeploymentTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || section < 0 || section >= kColumns)
        return {};
    if (role == +Role::Cell)
        return int(deploymentCellKind(Column(section)));
    if (role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::Name:
        return tr("Name");
    case Column::State:
        return tr("State");
    case Column::Model:
        return tr("Base model");
    case Column::Trainer:
        return tr("Trainer");
    case Column::Identity:
        return tr("Serving");
    case Column::Lag:
        return tr("Steps behind");
    case Column::Replicas:
        return tr("Ready");
    case Column::Stage:
        return tr("Stage");
    case Column::Created:
        return tr("Created");
    }
    return {};
}

} // namespace desk
