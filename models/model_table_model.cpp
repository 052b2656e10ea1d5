// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/model_table_model.h"

#include "models/evidence.h"
#include "models/format.h"
#include "models/item_roles.h"

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    CellKind modelCellKind(ModelTableModel::Column column)
    {
        using Column = ModelTableModel::Column;
        if (column == Column::Id)
            return CellKind::Name;
        return column == Column::State ? CellKind::Flag : CellKind::Text;
    }

    QString modelKindText(const QString& kind)
    {
        if (kind == u"HF_BASE_MODEL")
            return ModelTableModel::tr("full model");
        if (kind == u"HF_PEFT_ADDON")
            return ModelTableModel::tr("LoRA adapter");
        return kind.isEmpty() ? format::unknown() : kind;
    }

} // namespace

ModelTableModel::ModelTableModel(QObject* parent)
    : RowTable(parent)
{
}

int ModelTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.rows().size());
}

int ModelTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

void ModelTableModel::setRows(const QList<ModelRow>& rows)
{
    m_rows.apply(rows, Signals(*this));
}

void ModelTableModel::setNow(Time now)
{
    m_now = now;
    if (rowCount() > 0) {
        Q_EMIT dataChanged(index(0, int(Column::Created)),
            index(rowCount() - 1, int(Column::Created)), { Qt::DisplayRole });
    }
}

QString ModelTableModel::display(const ModelRow& row, Column column) const
{
    const auto last = [](const QString& name) {
        return name.isEmpty() ? format::unknown() : format::lastSegment(name);
    };
    switch (column) {
    case Column::Id:
        return row.id;
    case Column::Kind:
        return modelKindText(row.kind);
    case Column::State:
        return row.state.isEmpty() ? format::unknown() : row.state.toLower();
    case Column::Base:
        return row.standInFor.isEmpty()
            ? last(row.baseModel)
            : tr("stand-in for %1").arg(format::lastSegment(row.standInFor));
    case Column::PromotedFrom:
        return last(row.promotedFrom);
    case Column::Created:
        return format::age(row.created, m_now, 2);
    }
    return {};
}

QVariant ModelTableModel::sortKey(const ModelRow& row, Column column) const
{
    if (column != Column::Created)
        return display(row, column);
    return row.created ? QVariant(-double(row.created->time_since_epoch().count())) : QVariant();
}

QVariant ModelTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const ModelRow& row = m_rows.rows().at(index.row());
    const auto column = Column(index.column());
    switch (role) {
    case Qt::DisplayRole:
        return display(row, column);
    case Qt::AccessibleTextRole:
        if (column == Column::Id)
            return QStringList { row.id, display(row, Column::Kind), display(row, Column::State) }
                .join(u", "_s);
        return display(row, column);
    case +Role::Cell:
        return int(modelCellKind(column));
    case +Role::SortKey:
        return sortKey(row, column);
    case +Role::Id:
        return row.name;
    case +Role::Index:
        return index.row();
    case +Role::IsMono:
        return column == Column::Id
            || (column == Column::PromotedFrom && !row.promotedFrom.isEmpty());
    case +Role::StatusCode:
        return column == Column::State ? QVariant(int(statusOfServerWord(row.state))) : QVariant();
    case +Role::Tone:
        return int(Tone::Normal);
    default:
        return {};
    }
}

QVariant ModelTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || section < 0 || section >= kColumns)
        return {};
    if (role == +Role::Cell)
        return int(modelCellKind(Column(section)));
    if (role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::Id:
        return tr("Model id");
    case Column::Kind:
        return tr("Kind");
    case Column::State:
        return tr("State");
    case Column::Base:
        return tr("Base model");
    case Column::PromotedFrom:
        return tr("Promoted from");
    case Column::Created:
        return tr("Created");
    }
    return {};
}

} // namespace desk
