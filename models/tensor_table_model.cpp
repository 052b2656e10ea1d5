// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/tensor_table_model.h"

#include "models/format.h"
#include "models/item_roles.h"

#include <QStringList>

#include <algorithm>
#include <charconv>

namespace desk {

using namespace Qt::StringLiterals;

namespace {

    constexpr int kMaxLayers = 1024;

    StatusKind statusOfTensor(TensorStatus status)
    {
        switch (status) {
        case TensorStatus::Exact:
            return StatusKind::Good;
        case TensorStatus::Mismatch:
        case TensorStatus::Missing:
        case TensorStatus::Extra:
            return StatusKind::Failed;
        case TensorStatus::NotChecked:
            return StatusKind::Unknown;
        }
        return StatusKind::None;
    }

    QString wordOfTensor(TensorStatus status)
    {
        switch (status) {
        case TensorStatus::Exact:
            return TensorTableModel::tr("exact");
        case TensorStatus::Mismatch:
            return TensorTableModel::tr("mismatch");
        case TensorStatus::Missing:
            return TensorTableModel::tr("missing");
        case TensorStatus::Extra:
            return TensorTableModel::tr("extra");
        case TensorStatus::NotChecked:
            return TensorTableModel::tr("not checked");
        }
        return {};
    }

    /// Lower is worse, so that an ascending sort shows the worst first.
    int severity(TensorStatus status)
    {
        switch (status) {
        case TensorStatus::Mismatch:
            return 0;
        case TensorStatus::Missing:
            return 1;
        case TensorStatus::Extra:
            return 2;
        case TensorStatus::NotChecked:
            return 3;
        case TensorStatus::Exact:
            return 4;
        }
        return 4;
    }

    QString shapeText(const std::vector<std::uint64_t>& shape)
    {
        if (shape.empty())
            return TensorTableModel::tr("scalar");
        QStringList parts;
        for (const auto extent : shape)
            parts << QString::number(extent);
        return parts.join(u" × "_s);
    }

    void addTo(std::optional<HeatMap::Cell>& cell, const TensorRow& row, int index)
    {
        if (!cell)
            cell.emplace();
        cell->changed += row.changed;
        cell->elements += row.elements;
        cell->rows.push_back(index);
    }

    /// Layer number and the rest of the name after "….layers.N."; nullopt for other tensors.
    std::optional<std::pair<int, std::string_view>> layerOf(std::string_view name)
    {
        constexpr std::string_view kMark = "layers.";
        const auto at = name.find(kMark);
        if (at == std::string_view::npos)
            return std::nullopt;
        const auto digits = name.substr(at + kMark.size());
        int layer = -1;
        const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
        if (end.ec != std::errc {} || layer < 0 || layer >= kMaxLayers
            || end.ptr == digits.data() + digits.size() || *end.ptr != '.')
            return std::nullopt;
        return std::pair(layer, digits.substr(std::size_t(end.ptr - digits.data()) + 1));
    }

    HeatMap::Lane& laneFor(HeatMap& map, std::string_view rest)
    {
        // Norms inside attention (q_norm) belong to the norms: they are what people look for there.
        if (rest.find("norm") != std::string_view::npos)
            return map.norms;
        return rest.find("attn") != std::string_view::npos
                || rest.find("attention") != std::string_view::npos
            ? map.attention
            : map.mlp;
    }

    double largestOf(const HeatMap& map)
    {
        double largest = 0;
        const auto look = [&](const std::optional<HeatMap::Cell>& cell) {
            if (cell)
                largest = std::max(largest, cell->fraction());
        };
        for (const auto* lane : { &map.attention, &map.mlp, &map.norms })
            std::for_each(lane->begin(), lane->end(), look);
        for (const auto* cell : { &map.embedding, &map.finalNorm, &map.head, &map.others })
            look(*cell);
        return largest;
    }

} // namespace

TensorTableModel::TensorTableModel(QObject* parent)
    : QAbstractTableModel(parent)
{
}

int TensorTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(m_rows.size());
}

int TensorTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QVariant TensorTableModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const TensorRow& row = m_rows[std::size_t(index.row())];
    const auto column = Column(index.column());
    switch (role) {
    case Qt::DisplayRole:
        return display(row, column);
    case Qt::ToolTipRole:
        return column == Column::Name ? format::fromUtf8(row.name) : format::fromUtf8(row.note);
    case Qt::AccessibleTextRole:
        return tr("%1, %2 changed, %3")
            .arg(format::fromUtf8(row.name), display(row, Column::Changed),
                wordOfTensor(row.status));
    case +Role::Id:
        return format::fromUtf8(row.name);
    case +Role::Index:
        return index.row();
    case +Role::SortKey:
        return sortKey(row, column);
    case +Role::IsMono:
        return column == Column::Name || column == Column::Checksum;
    case +Role::Cell:
        switch (column) {
        case Column::Changed:
            return int(CellKind::Bar);
        case Column::MaxDelta:
        case Column::L2Delta:
        case Column::NonFinite:
            return int(CellKind::Number);
        case Column::Verdict:
            return int(CellKind::Flag);
        default:
            return int(CellKind::Text);
        }
    case +Role::Fraction:
        if (column == Column::Changed && row.changedFraction && m_largestFraction > 0)
            return *row.changedFraction / m_largestFraction;
        return {};
    case +Role::StatusCode:
        return column == Column::Verdict ? QVariant(int(statusOfTensor(row.status))) : QVariant();
    case +Role::Tone:
        if (column == Column::Dtype)
            return int(Tone::Secondary);
        if (column == Column::NonFinite && row.nonFinite.value_or(0) > 0)
            return int(Tone::Failed);
        return {};
    default:
        return {};
    }
}

QString TensorTableModel::display(const TensorRow& row, Column column) const
{
    switch (column) {
    case Column::Name:
        return format::fromUtf8(row.name);
    case Column::Dtype:
        return format::fromUtf8(toString(row.dtype));
    case Column::Shape:
        return row.elements == 0 ? tr("%1 · 0 elements").arg(shapeText(row.shape))
                                 : shapeText(row.shape);
    case Column::Changed:
        // The header says "%": the cell is the bare figure.
        return row.changedFraction ? QString::number(*row.changedFraction * 100, 'f', 2) : u"–"_s;
    case Column::MaxDelta:
        return format::number(row.maxAbsDelta, 3);
    case Column::L2Delta:
        return format::number(row.l2Delta, 3);
    case Column::NonFinite:
        return row.nonFinite ? format::count(std::int64_t(*row.nonFinite)) : format::unknown();
    case Column::Checksum:
        return row.checksum.empty() ? format::unknown() : format::fromUtf8(row.checksum);
    case Column::Verdict:
        return wordOfTensor(row.status);
    }
    return {};
}

QVariant TensorTableModel::sortKey(const TensorRow& row, Column column) const
{
    switch (column) {
    case Column::Name:
        return format::fromUtf8(row.name);
    case Column::Dtype:
    case Column::Shape:
    case Column::Checksum:
        return display(row, column);
    case Column::Changed:
        return row.changedFraction.value_or(-1);
    case Column::MaxDelta:
        return row.maxAbsDelta.value_or(-1);
    case Column::L2Delta:
        return row.l2Delta.value_or(-1);
    case Column::NonFinite:
        return qulonglong(row.nonFinite.value_or(0));
    case Column::Verdict:
        // Worst status first, then the largest change.
        return severity(row.status) * 10.0 - row.changedFraction.value_or(0);
    }
    return {};
}

QVariant TensorTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    const auto column = Column(section);
    if (role == +Role::Cell)
        return int(
            column == Column::MaxDelta || column == Column::L2Delta || column == Column::NonFinite
                ? CellKind::Number
                : CellKind::Text);
    if (role != Qt::DisplayRole)
        return {};
    switch (column) {
    case Column::Name:
        return tr("Tensor");
    case Column::Dtype:
        return tr("Dtype");
    case Column::Shape:
        return tr("Shape");
    case Column::Changed:
        return tr("Changed %");
    case Column::MaxDelta:
        return tr("Max |Δ|");
    case Column::L2Delta:
        return tr("‖Δ‖₂");
    case Column::NonFinite:
        return tr("Non-finite");
    case Column::Checksum:
        return tr("Adler-32");
    case Column::Verdict:
        return tr("Status");
    }
    return {};
}

void TensorTableModel::setRows(std::vector<TensorRow> rows)
{
    beginResetModel();
    m_rows = std::move(rows);
    m_largestFraction = 0;
    for (const auto& row : m_rows)
        m_largestFraction = std::max(m_largestFraction, row.changedFraction.value_or(0));
    endResetModel();
}

int TensorTableModel::changedCount() const
{
    return int(std::count_if(
        m_rows.begin(), m_rows.end(), [](const TensorRow& row) { return row.changed > 0; }));
}

int TensorTableModel::mismatchCount() const
{
    return int(std::count_if(m_rows.begin(), m_rows.end(), [](const TensorRow& row) {
        return row.status == TensorStatus::Mismatch || row.status == TensorStatus::Missing
            || row.status == TensorStatus::Extra;
    }));
}

HeatMap heatMapOf(const std::vector<TensorRow>& rows)
{
    HeatMap map;
    for (int i = 0; i < int(rows.size()); ++i) {
        const TensorRow& row = rows[std::size_t(i)];
        const std::string_view name = row.name;
        if (const auto place = layerOf(name)) {
            const auto [layer, rest] = *place;
            const auto needed = std::size_t(layer) + 1;
            if (needed > map.attention.size())
                for (auto* lane : { &map.attention, &map.mlp, &map.norms })
                    lane->resize(needed);
            addTo(laneFor(map, rest)[std::size_t(layer)], row, i);
        } else if (name.find("embed") != std::string_view::npos) {
            addTo(map.embedding, row, i);
        } else if (name.find("lm_head") != std::string_view::npos) {
            addTo(map.head, row, i);
        } else if (name.find("norm") != std::string_view::npos) {
            addTo(map.finalNorm, row, i);
        } else {
            addTo(map.others, row, i);
        }
    }
    map.largest = largestOf(map);
    return map;
}

} // namespace desk
