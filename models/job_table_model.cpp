// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/job_table_model.h"

#include "models/evidence.h"
#include "models/format.h"
#include "models/item_roles.h"

#include <algorithm>
#include <cmath>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    CellKind jobCellKind(JobTableModel::Column column)
    {
        using Column = JobTableModel::Column;
        switch (column) {
        case Column::Evidence:
            return CellKind::Evidence;
        case Column::Name:
            return CellKind::Name;
        case Column::Step:
            return CellKind::Progress;
        case Column::Loss:
            return CellKind::Number;
        case Column::Slope:
            return CellKind::Delta;
        case Column::Trend:
            return CellKind::Spark;
        case Column::Kind:
        case Column::State:
        case Column::Model:
        case Column::Saves:
        case Column::Created:
            break;
        }
        return CellKind::Text;
    }

    SparkValue sparkOf(const JobRow& row)
    {
        SparkValue spark;
        spark.id = row.id;
        spark.version = row.trendVersion;
        spark.values.reserve(row.trend.size());
        for (const double value : row.trend)
            spark.values.append(float(value));
        spark.endsBroken = !row.trend.isEmpty() && !std::isfinite(row.trend.back());
        if (row.step && row.totalSteps && *row.totalSteps > 0 && *row.step < *row.totalSteps)
            spark.share = float(double(*row.step) / double(*row.totalSteps));
        return spark;
    }

    Tone jobTone(const JobRow& row, JobTableModel::Column column)
    {
        using Column = JobTableModel::Column;
        switch (column) {
        case Column::Evidence:
            if (row.evidence == Evidence::Failed)
                return Tone::Failed;
            return needsAttention(row.evidence) ? Tone::Attention : Tone::Normal;
        case Column::Kind:
            return Tone::Secondary;
        case Column::State:
            return row.evidence == Evidence::Failed ? Tone::Failed : Tone::Normal;
        case Column::Loss:
            return row.loss && !std::isfinite(*row.loss) ? Tone::Failed : Tone::Normal;
        case Column::Slope:
            if (!row.slope || *row.slope == 0)
                return Tone::Secondary;
            return *row.slope < 0 ? Tone::Better : Tone::Worse;
        case Column::Name:
        case Column::Model:
        case Column::Step:
        case Column::Trend:
        case Column::Saves:
        case Column::Created:
            break;
        }
        return Tone::Normal;
    }

    QString jobSpoken(const JobRow& row, Time now)
    {
        QString text = row.name + u", "_s + row.stateText;
        if (row.lastProgress) {
            text += u", "_s
                + JobTableModel::tr("last progress %1 ago").arg(format::age(row.lastProgress, now));
        }
        if (row.loss)
            text += u", "_s + JobTableModel::tr("loss %1").arg(format::number(row.loss));
        return text;
    }

} // namespace

JobTableModel::JobTableModel(QObject* parent)
    : RowTable(parent)
{
}

int JobTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.rows().size());
}

int JobTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

void JobTableModel::setRows(const QList<JobRow>& rows)
{
    m_rows.apply(rows, Signals(*this));
}

void JobTableModel::setNow(Time now)
{
    m_now = now;
    if (rowCount() == 0)
        return;
    const int last = rowCount() - 1;
    for (const Column column : { Column::Evidence, Column::Saves, Column::Created }) {
        Q_EMIT dataChanged(
            index(0, int(column)), index(last, int(column)), { Qt::DisplayRole, +Role::Secondary });
    }
}

QString JobTableModel::display(const JobRow& row, Column column) const
{
    switch (column) {
    case Column::Evidence:
        return format::age(row.lastProgress ? row.lastProgress : row.updated, m_now);
    case Column::Name:
        return row.name;
    case Column::Kind:
        return row.kind;
    case Column::State:
        return row.stateText;
    case Column::Model:
        return format::baseModel(row.baseModel, row.isStandIn);
    case Column::Step:
        return row.step ? format::count(*row.step) : format::unknown();
    case Column::Loss:
        return format::number(row.loss);
    case Column::Slope:
        return row.slope ? format::signedNumber(*row.slope) : format::unknown();
    case Column::Trend:
        return row.trend.isEmpty() ? format::unknown() : QString();
    case Column::Saves:
        if (row.checkpoints < 0)
            return format::unknown();
        return row.checkpoints == 0 ? tr("none") : format::count(row.checkpoints);
    case Column::Created:
        return format::age(row.created, m_now, 2);
    }
    return {};
}

QVariant JobTableModel::sortKey(const JobRow& row, Column column) const
{
    const auto seconds = [](const std::optional<Time>& time) {
        return time ? QVariant(double(time->time_since_epoch().count()) / 1e6) : QVariant();
    };
    const auto number = [](const auto& value) {
        return value ? QVariant(double(*value)) : QVariant();
    };
    switch (column) {
    case Column::Evidence: {
        // Ascending is by attention, then the newest first.
        const double at = row.lastProgress ? seconds(row.lastProgress).toDouble()
                                           : seconds(row.updated).toDouble();
        return double(row.evidence) * 1e11 - at;
    }
    case Column::Name:
        return row.name;
    case Column::Kind:
        return row.kind;
    case Column::State:
        return row.stateText;
    case Column::Model:
        return format::lastSegment(row.baseModel);
    case Column::Step:
        return number(row.step);
    case Column::Loss:
        return number(row.loss);
    case Column::Slope:
    case Column::Trend:
        return number(row.slope);
    case Column::Saves:
        return row.checkpoints < 0 ? QVariant() : QVariant(row.checkpoints);
    case Column::Created:
        return row.created ? QVariant(-seconds(row.created).toDouble()) : QVariant();
    }
    return {};
}

QVariant JobTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const JobRow& row = m_rows.rows().at(index.row());
    const auto column = Column(index.column());
    switch (role) {
    case Qt::DisplayRole:
        return display(row, column);
    case Qt::AccessibleTextRole:
        if (column == Column::Evidence)
            return jobSpoken(row, m_now);
        if (column == Column::Trend && row.slope)
            return tr("trend %1").arg(format::signedNumber(*row.slope));
        return display(row, column);
    case +Role::Cell:
        return int(jobCellKind(column));
    case +Role::SortKey:
        return sortKey(row, column);
    case +Role::Id:
        return row.id;
    case +Role::Index:
        return index.row();
    case +Role::Tone:
        return int(jobTone(row, column));
    case +Role::StatusCode:
        return column == Column::Evidence ? QVariant(int(statusOf(row.evidence))) : QVariant();
    case +Role::Reason:
        return column == Column::Evidence ? QVariant(evidenceSentence(row, m_now)) : QVariant();
    case +Role::Swatch:
        return column == Column::Name && row.slot >= 0 ? QVariant(row.slot) : QVariant();
    case +Role::IsStrong:
        return column == Column::Name && row.slot >= 0;
    case +Role::Fraction:
        if (column == Column::Step && row.step && row.totalSteps && *row.totalSteps > 0)
            return std::clamp(double(*row.step) / double(*row.totalSteps), 0.0, 1.0);
        return {};
    case +Role::Secondary:
        if (column == Column::Step && row.totalSteps)
            return QString(u" / "_s + format::count(*row.totalSteps));
        if (column == Column::Saves && row.checkpoints > 0 && row.newestCheckpoint)
            return QString(u" \u00b7 "_s + format::age(row.newestCheckpoint, m_now));
        return {};
    case +Role::Spark:
        if (column == Column::Trend && !row.trend.isEmpty())
            return QVariant::fromValue(sparkOf(row));
        return {};
    default:
        return {};
    }
}

QVariant JobTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || section < 0 || section >= kColumns)
        return {};
    if (role == +Role::Cell)
        return int(jobCellKind(Column(section)));
    if (role != Qt::DisplayRole)
        return {};
    switch (Column(section)) {
    case Column::Evidence:
        return tr("Evidence");
    case Column::Name:
        return tr("Name");
    case Column::Kind:
        return tr("Kind");
    case Column::State:
        return tr("State");
    case Column::Model:
        return tr("Model");
    case Column::Step:
        return tr("Step");
    case Column::Loss:
        return tr("Loss \u03b1.9");
    case Column::Slope:
        return tr("\u0394 / 1k");
    case Column::Trend:
        return tr("Trend");
    case Column::Saves:
        return tr("Saves");
    case Column::Created:
        return tr("Created");
    }
    return {};
}

} // namespace desk
