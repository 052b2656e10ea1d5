// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/rows.h"

#include <QList>
#include <QWidget>

namespace desk {

/// The newest chain of a job as boxes: base, then its deltas; the middle of a long one is folded to
/// ticks. A click selects the checkpoint.
class ChainStrip final : public QWidget
{
    Q_OBJECT

public:
    explicit ChainStrip(QWidget* parent = nullptr);
    /// Rows of one job, any order.
    void setRows(const QList<CheckpointRow>& rows, const QString& selected);
    [[nodiscard]] bool isEmpty() const noexcept { return m_boxes.isEmpty(); }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void checkpointChosen(const QString& name);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;

private:
    struct ChainBox
    {
        CheckpointRow row;
        QRectF rect;
        int folded = 0; ///< deltas left out before this box
    };
    void arrange();

    QList<ChainBox> m_boxes;
    QList<CheckpointRow> m_chain; ///< base first
    QString m_selected;
};

} // namespace desk
