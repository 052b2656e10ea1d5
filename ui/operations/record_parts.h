// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/operation_record.h"

#include <QWidget>

namespace desk {

/// Elapsed time against earlier loads: small ticks are loads, the heavy one their median; a
/// time-out off the scale is written.
class ElapsedBar final : public QWidget
{
    Q_OBJECT
public:
    explicit ElapsedBar(QWidget* parent = nullptr);
    void setRecord(const OperationRecord& record);
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    OperationRecord m_record;
};

/// Stages of every replica on one time axis: which replica is late, and in which stage.
class ReplicaTimeline final : public QWidget
{
    Q_OBJECT
public:
    explicit ReplicaTimeline(QWidget* parent = nullptr);
    void setRecord(const OperationRecord& record);
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    void paintAxis(QPainter& painter, double seconds, const QRectF& plot) const;

    OperationRecord m_record;
};

} // namespace desk
