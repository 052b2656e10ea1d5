// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QPointer>

class QFocusFrame;
class QWidget;

namespace desk {

/// Shows one QFocusFrame around the focused control: always for line edits, else only when the
/// focus came by keyboard. Item views and charts paint their own focus.
class FocusRing final : public QObject
{
    Q_OBJECT

public:
    explicit FocusRing(QObject* parent);

    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void showFor(QWidget* widget);
    QPointer<QFocusFrame> m_frame;
};

} // namespace desk
