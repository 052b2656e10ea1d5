// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/plot_data.h"
#include "ui/style/spans.h"

#include <QWidget>

namespace desk {

/// The docked line with the values at the crosshair (objectName "readoutStrip"). A click on a chart
/// pins it; Ctrl+C copies it.
class ReadoutStrip final : public QWidget
{
    Q_OBJECT

public:
    explicit ReadoutStrip(QWidget* parent = nullptr);
    void setReadout(const Readout& readout, XAxisKind kind);
    void setHint(const QString& text); ///< shown while there is no readout
    void setPinned(bool isPinned);
    [[nodiscard]] bool isPinned() const noexcept { return m_isPinned; }
    [[nodiscard]] QString text() const; ///< as shown, plain

Q_SIGNALS:
    void pinToggled(bool isPinned);

protected:
    void paintEvent(QPaintEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;

private:
    Spans m_spans;
    QString m_hint;
    bool m_hasReadout = false;
    bool m_isPinned = false;
};

} // namespace desk
