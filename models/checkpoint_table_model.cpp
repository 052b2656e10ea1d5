// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/checkpoint_table_model.h"

#include "models/format.h"
#include "models/item_roles.h"

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr auto kExpiresSoon = std::chrono::hours(6);

    CellKind checkpointCellKind(CheckpointTableModel::Column column)
    {
        using Column = CheckpointTableModel::Column;
        switch (column) {
        case Column::Name:
            return CellKind::Name;
        case Column::Promotable:
            return CellKind::Flag;
        case Column::Step:
        case Column::Loss:
        case Column::Size:
        case Column::Ratio:
        case Column::Changed:
            return CellKind::Number;
        case Column::Verified:
        case Column::Serving:
            return CellKind::Pills;
        case Column::Type:
        case Column::Created:
        case Column::Expires:
            break;
        }
        return CellKind::Text;
    }

    bool expiresSoon(const CheckpointRow& row, Time now)
    {
        return row.expires && *row.expires - now < kExpiresSoon;
    }

    QString checkpointKind(const CheckpointRow& row)
    {
        switch (row.type) {
        case CheckpointType::InferenceBase:
            return CheckpointTableModel::tr("base");
        case CheckpointType::InferenceArcV2:
            return CheckpointTableModel::tr("delta");
        case CheckpointType::InferenceLora:
            return CheckpointTableModel::tr("LoRA");
        case CheckpointType::Training:
        case CheckpointType::TrainingLora:
            return CheckpointTableModel::tr("training");
        case CheckpointType::Unspecified:
        case CheckpointType::Unrecognized:
            break;
        }
        return row.typeText.isEmpty() ? format::unknown() : row.typeText;
    }

    bool isTraining(const CheckpointRow& row)
    {
        return row.type == CheckpointType::Training || row.type == CheckpointType::TrainingLora;
    }

    QList<PillValue> verifiedPills(const CheckpointRow& row)
    {
        if (row.verified.isEmpty())
            return {};
        PillValue pill;
        pill.showsGlyph = true;
        if (row.verified == u"exact") {
            pill.status = StatusKind::Good;
            pill.text = row.verifiedAt ? format::clockTime(*row.verifiedAt).left(5) : row.verified;
        } else {
            pill.status = row.verified == u"partial" ? StatusKind::Attention : StatusKind::Failed;
            pill.text = row.verified;
        }
        return { pill };
    }

    QList<PillValue> servingPills(const CheckpointRow& row)
    {
        QList<PillValue> pills;
        for (const ServingMark& mark : row.serving) {
            PillValue pill;
            pill.text = u"%1 %2/%3"_s.arg(mark.deployment).arg(mark.ready).arg(mark.total);
            pill.status = mark.isLoading ? StatusKind::Busy : StatusKind::Good;
            pills.append(pill);
        }
        return pills;
    }

    QString pillsText(const QList<PillValue>& pills)
    {
        QStringList texts;
        for (const PillValue& pill : pills)
            texts.append(pill.text);
        return texts.isEmpty() ? format::unknown() : texts.join(u", "_s);
    }

    int railOf(const CheckpointRow& row)
    {
        int shape = RailNone;
        switch (row.chain.shape) {
        case ChainMark::Shape::None:
            shape = isTraining(row) ? RailState : RailNone;
            break;
        case ChainMark::Shape::Base:
        case ChainMark::Shape::Adapter:
            shape = RailBase;
            break;
        case ChainMark::Shape::Delta:
            shape = RailDelta;
            break;
        }
        return shape | (row.chain.goesUp ? RailAbove : 0) | (row.chain.goesDown ? RailBelow : 0);
    }

    Tone checkpointTone(const CheckpointRow& row, CheckpointTableModel::Column column, Time now)
    {
        using Column = CheckpointTableModel::Column;
        switch (column) {
        case Column::Type:
            return isTraining(row) ? Tone::Secondary : Tone::Normal;
        case Column::Promotable:
            return row.isPromotable ? Tone::Normal : Tone::Secondary;
        case Column::Expires:
            if (!row.expires)
                return Tone::Secondary;
            return expiresSoon(row, now) ? Tone::Attention : Tone::Normal;
        default:
            return Tone::Normal;
        }
    }

} // namespace

CheckpointTableModel::CheckpointTableModel(QObject* parent)
    : RowTable(parent)
{
}

int CheckpointTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.rows().size());
}

int CheckpointTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

void CheckpointTableModel::setRows(const QList<CheckpointRow>& rows)
{
    m_rows.apply(rows, Signals(*this));
}

void CheckpointTableModel::setNow(Time now)
{
    m_now = now;
    if (rowCount() == 0)
        return;
    Q_EMIT dataChanged(index(0, int(Column::Created)), index(rowCount() - 1, int(Column::Expires)),
        { Qt::DisplayRole, +Role::Tone });
}

QString CheckpointTableModel::display(const CheckpointRow& row, Column column) const
{
    switch (column) {
    case Column::Name:
        return row.shortName;
    case Column::Type:
        return checkpointKind(row);
    case Column::Promotable:
        return row.isPromotable ? tr("yes") : row.whyNot;
    case Column::Step:
        return row.step ? format::count(*row.step) : format::unknown();
    case Column::Created:
        return format::age(row.created, m_now, 2);
    case Column::Expires:
        if (!row.expires)
            return tr("no TTL");
        return *row.expires <= m_now ? tr("expired") : format::age(m_now, *row.expires, 2);
    case Column::Loss:
        return format::number(row.loss);
    case Column::Size:
        return row.sizeBytes ? format::bytes(*row.sizeBytes) : format::unknown();
    case Column::Ratio: {
        const auto ratio = row.deltaRatio();
        return ratio ? format::percent(*ratio) : format::unknown();
    }
    case Column::Changed:
        return row.changedFraction ? format::percent(*row.changedFraction) : format::unknown();
    case Column::Verified:
        return pillsText(verifiedPills(row));
    case Column::Serving:
        return pillsText(servingPills(row));
    }
    return {};
}

QVariant CheckpointTableModel::sortKey(const CheckpointRow& row, Column column) const
{
    const auto seconds = [](const std::optional<Time>& time) {
        return time ? QVariant(double(time->time_since_epoch().count()) / 1e6) : QVariant();
    };
    const auto number = [](const auto& value) {
        return value ? QVariant(double(*value)) : QVariant();
    };
    switch (column) {
    case Column::Name:
        return row.shortName;
    case Column::Type:
        return checkpointKind(row);
    case Column::Promotable:
        return row.isPromotable ? QString() : row.whyNot;
    case Column::Step:
        return number(row.step);
    case Column::Created: // by age: the arrow then points down while the newest stands first
        return row.created ? QVariant(-seconds(row.created).toDouble()) : QVariant();
    case Column::Expires:
        return seconds(row.expires);
    case Column::Loss:
        return number(row.loss);
    case Column::Size:
        return number(row.sizeBytes);
    case Column::Ratio:
        return number(row.deltaRatio());
    case Column::Changed:
        return number(row.changedFraction);
    case Column::Verified:
        return row.verified.isEmpty() ? QVariant() : QVariant(row.verified);
    case Column::Serving:
        return row.serving.isEmpty() ? QVariant() : QVariant(int(row.serving.size()));
    }
    return {};
}

QVariant CheckpointTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const CheckpointRow& row = m_rows.rows().at(index.row());
    const auto column = Column(index.column());
    switch (role) {
    case Qt::DisplayRole:
        return display(row, column);
    case Qt::AccessibleTextRole:
        if (column == Column::Name) {
            return QStringList { row.shortName, checkpointKind(row),
                row.isPromotable ? tr("promotable") : tr("not promotable: %1").arg(row.whyNot) }
                .join(u", "_s);
        }
        return display(row, column);
    case +Role::Cell:
        return int(checkpointCellKind(column));
    case +Role::SortKey:
        return sortKey(row, column);
    case +Role::Id:
        return row.name;
    case +Role::Index:
        return index.row();
    case +Role::Tone:
        return int(checkpointTone(row, column, m_now));
    case +Role::Rail:
        return column == Column::Name ? QVariant(railOf(row)) : QVariant();
    case +Role::IsMono:
        return column == Column::Name;
    case +Role::IsStrong:
        return column == Column::Type && row.type == CheckpointType::InferenceBase;
    case +Role::StatusCode:
        if (column == Column::Promotable)
            return int(row.isPromotable ? StatusKind::Good : StatusKind::No);
        return {};
    case +Role::Reason:
        return column == Column::Promotable ? QVariant(row.whyNot) : QVariant();
    case +Role::Pills:
        if (column == Column::Verified)
            return QVariant::fromValue(verifiedPills(row));
        if (column == Column::Serving)
            return QVariant::fromValue(servingPills(row));
        return {};
    default:
        return {};
    }
}

QVariant CheckpointTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || section < 0 || section >= kColumns)
        return {};
    if (role == +Role::Cell)
        return int(checkpointCellKind(Column(section)));
    if (role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::Name:
        return tr("Name");
    case Column::Type:
        return tr("Type");
    case Column::Promotable:
        return tr("Promotable");
    case Column::Step:
        return tr("Step");
    case Column::Created:
        return tr("Created");
    case Column::Expires:
        return tr("Expires");
    case Column::Loss:
        return tr("Loss");
    case Column::Size:
        return tr("Size");
    case Column::Ratio:
        return tr("\u0394 ratio");
    case Column::Changed:
        return tr("Changed");
    case Column::Verified:
        return tr("Verified");
    case Column::Serving:
        return tr("Serving");
    }
    return {};
}

} // namespace desk
