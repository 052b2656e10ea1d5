// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"

#include <QAbstractButton>

namespace desk {

/// A checkable pill: "linked", "LIVE". Tinted while it is on.
class ChipButton final : public QAbstractButton
{
    Q_OBJECT

public:
    explicit ChipButton(const QString& text, StatusKind kind, const QString& iconName = {},
        QWidget* parent = nullptr);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    StatusKind m_kind;
    QString m_iconName;
};

} // namespace desk
