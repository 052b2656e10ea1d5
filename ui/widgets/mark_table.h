// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"
#include "ui/widgets/table_view.h"

#include <QAbstractTableModel>

namespace desk {

/// One cell of a MarkTable: span markup, a bar, or an action.
struct MarkCell
{
    QString markup {}; ///< text from outside must pass spanEscaped()
    double fraction = -1; ///< >= 0: a bar instead of text
    double mark = -1; ///< tick on the bar
    Tone tone = Tone::Normal; ///< of the bar
    QString action {}; ///< painted action, right-aligned
    bool actionIsButton = false;
    bool isRight = false;
    bool operator==(const MarkCell&) const = default;
};

/// Rows of markup for small fixed tables (preflight, effect, operations of a sheet).
class MarkModel final : public QAbstractTableModel
{
    Q_OBJECT

public:
    explicit MarkModel(QObject* parent = nullptr);
    void setHeader(const QStringList& titles);
    /// Replaces the rows; equal leading rows are not touched, so a selection survives a refresh.
    void setRows(QList<QList<MarkCell>> rows, QStringList ids = {});

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

private:
    QStringList m_header;
    QStringList m_ids;
    QList<QList<MarkCell>> m_rows;
    int m_columns = 0;
};

class MarkTable : public TableView
{
    Q_OBJECT

public:
    /// widths as in TableView::setColumnWidths(); an empty header hides it.
    MarkTable(const QStringList& header, const QList<int>& widths, const QString& accessibleName,
        QWidget* parent = nullptr);
    [[nodiscard]] MarkModel* rows() const noexcept { return m_rows; }
    void setRows(QList<QList<MarkCell>> rows, QStringList ids = {});

private:
    MarkModel* m_rows;
};

} // namespace desk
